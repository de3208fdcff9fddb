/** Programs of the host that are run at points of a container's life (runtime-spec, "POSIX-platform Hooks"). */
import type * as ChildProcesses from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PodlingError } from '../../errors.js'
import { late } from '../../late.js'
import type { SpecHook, SpecHooks } from '../../launch/oci-spec.js'
import type { HookState } from './hook-state.js'

/** Most containers have no hooks. */
const childProcesses = late('node:child_process') as () => typeof ChildProcesses

const STDERR_KEPT = 4096

/**
 * Run the hooks of one point, one after the other.
 * @throws PodlingError `HOOK_FAILED` at the first that ends otherwise than with 0, or not in its time
 */
export async function runHooks(stage: keyof SpecHooks, hooks: readonly SpecHook[], state: HookState): Promise<void> {
  for (const hook of hooks) await runHook(stage, hook, state)
}

async function runHook(stage: string, { path, args, env, timeout }: SpecHook, state: HookState): Promise<void> {
  const failed = (why: string, cause?: unknown): PodlingError =>
    new PodlingError('HOOK_FAILED', `${stage} hook ${path} of container ${state.id.slice(0, 12)}: ${why}`, {
      cause,
      path,
    })
  const child = begin(path, args, env, state.bundle)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-STDERR_KEPT)))
  // It need not read what it is told.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(JSON.stringify(state))
  const deadline = new AbortController()
  const timer = setTimeout(
    () => {
      deadline.abort()
      killGroup(child)
    },
    Math.min((timeout ?? 0) * 1000 || 2 ** 31 - 1, 2 ** 31 - 1),
  )
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    await read(child)
    if (deadline.signal.aborted) throw failed(`it was killed after ${String(timeout)} s`)
    const how = signal === null ? `it ended with status ${String(code)}` : `it was ended by ${signal}`
    if (code !== 0) throw failed(said.trim() === '' ? how : `${how}: ${said.trim()}`)
  } catch (error) {
    throw error instanceof PodlingError ? error : failed(`it could not be executed: ${(error as Error).message}`, error)
  } finally {
    clearTimeout(timer)
    child.stderr?.destroy()
  }
}

/**
 * What a process that has ended wrote is in its pipe; the event loop reads that in its next round, if it hasn't yet. The end of
 * the pipe is none to wait for: what it left running may have it too.
 */
async function read(child: ChildProcess): Promise<void> {
  if (child.stderr?.readableEnded) return
  await nextTurn()
  await nextTurn()
}

/** A process group of its own, so that what it has others do ends with it. Nothing of this process's environment. */
function begin(path: string, args: SpecHook['args'], env: SpecHook['env'], cwd: string): ChildProcess {
  const variables = (env ?? []).map((variable): [string, string] => {
    const end = variable.indexOf('=')
    return [variable.slice(0, end), variable.slice(end + 1)]
  })
  return childProcesses().spawn(path, (args ?? []).slice(1), {
    argv0: args?.[0] ?? path,
    env: Object.fromEntries(variables),
    cwd,
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  })
}

function killGroup({ pid, exitCode }: ChildProcess): void {
  // Not reaped yet, so its number is still its own.
  if (pid === undefined || exitCode !== null) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}
