/** The wait for a container that was killed, which the kernel may not let die. */
import { readFile } from 'node:fs/promises'
import { PodlingError } from '../errors.js'
import type { ExitStatus } from './exit-status.js'
import type { Lifecycle } from './lifecycle.js'

/** Ending takes milliseconds, and on a machine that swaps a second or two. */
const PATIENCE_MS = 10_000

/**
 * Wait for the end of one to which SIGKILL was sent. A process in an uninterruptible wait, for a disk or a file server that
 * doesn't answer, takes no signal, and nobody can end it but whoever it waits for.
 * @throws PodlingError `STILL_RUNNING` with what pid 1 waits for; it ends as soon as it can
 */
export async function endInTime(container: Lifecycle, verb: string, ended: Promise<ExitStatus>): Promise<ExitStatus> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      resolve(undefined)
    }, PATIENCE_MS)
  })
  try {
    const exit = await Promise.race([ended, late])
    if (exit === undefined) throw await stillRuns(container, verb)
    return exit
  } finally {
    clearTimeout(timer)
  }
}

async function stillRuns({ record, monitor }: Lifecycle, verb: string): Promise<PodlingError> {
  const pid = String(monitor?.pid)
  const text = async (name: string): Promise<string> =>
    (await readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')).trim()
  const state = /^State:\t(.*)$/m.exec(await text('status'))?.[1] ?? 'unknown'
  const wait = (await text('wchan')) || 'unknown'
  return new PodlingError(
    'STILL_RUNNING',
    `${verb} container ${record.name}: SIGKILL was sent, and ${String(PATIENCE_MS / 1000)} s later it has not ended. ` +
      `Its pid 1, ${pid}, is in state ${state}, in the kernel's ${wait}; see /proc/${pid}/stack. It ends once what it waits for answers`,
  )
}
