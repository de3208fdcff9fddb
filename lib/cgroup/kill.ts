/** Ending everything in a cgroup, for the clean-up after a crash. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { failure, isGone, processesBelow, writeValue } from './directories.js'

/** Ask again and again, at first quickly. @returns false when the time is over. */
async function until(done: () => Promise<boolean>, timeout: number): Promise<boolean> {
  const end = performance.now() + timeout
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    if (await done()) return true
    if (performance.now() > end) return false
    await sleep(pause)
  }
}

async function stillThere(directory: string, timeout: number): Promise<never> {
  const pids = await processesBelow(directory)
  throw new PodlingError(
    'STILL_RUNNING',
    `kill the processes of ${directory}: ${pids.join(', ') || 'some'} did not end within ${String(timeout)} ms; ` +
      `see /proc/PID/stack for what they wait for in the kernel`,
    { path: directory },
  )
}

/** cgroup2: one write kills all, and forks under way can't slip through (Linux 5.14). */
export async function killUnified(directory: string, timeout: number): Promise<void> {
  try {
    await writeValue(join(directory, 'cgroup.kill'), '1')
    const empty = async (): Promise<boolean> =>
      /^populated 0$/m.test(await readFile(join(directory, 'cgroup.events'), 'utf8'))
    if (!(await until(empty, timeout))) await stillThere(directory, timeout)
  } catch (error) {
    if (error instanceof PodlingError) throw error
    if (!isGone(error)) throw failure('write', 'kill a cgroup', directory, error)
  }
}

/**
 * v1: processes that fork faster than they are killed would win, so they are frozen, killed and thawed; SIGKILL works at
 * the thaw. Without a freezer it kills in rounds.
 * @param directory where the container's processes are listed
 */
export async function killFrozen(directory: string, freezer: string | undefined, timeout: number): Promise<void> {
  const state = freezer !== undefined && existsSync(freezer) ? join(freezer, 'freezer.state') : undefined
  const setState = async (value: 'FROZEN' | 'THAWED'): Promise<void> => {
    if (state === undefined) return
    try {
      await writeValue(state, value)
      if (value === 'FROZEN') {
        // A process in an uninterruptible wait keeps it at FREEZING; the kill must not hang on that.
        await until(async () => (await readFile(state, 'utf8')).trim() === 'FROZEN', Math.min(timeout, 500))
      }
    } catch (error) {
      if (!isGone(error)) throw failure('write', `set a freezer to ${value}`, state, error)
    }
  }
  const round = async (): Promise<boolean> => {
    const pids = await processesBelow(directory)
    if (pids.length === 0) return true
    await setState('FROZEN')
    try {
      for (const pid of await processesBelow(directory)) killOne(pid)
    } finally {
      await setState('THAWED')
    }
    return false
  }
  if (!(await until(round, timeout))) await stillThere(directory, timeout)
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH')
      throw failure('kill', `kill process ${String(pid)}`, '/proc', error)
  }
}
