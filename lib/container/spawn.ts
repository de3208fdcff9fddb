import { PodlingError } from '../errors.js'
import { show } from '../schema/faults.js'
import { compileExec } from '../launch/compile.js'
import { execProcess } from './exec-process.js'
import type { Lifecycle } from './lifecycle.js'
import { ContainerProcess } from './process.js'
import { requireStatus } from './status.js'
import type { SpawnOptions } from './spawn-options.js'
import { inputEnd, outputEnd, type OutputEnd } from './stream-ends.js'

/** A started process with the counters that exec() needs to know when all its output is there. */
export interface Spawned {
  readonly process: ContainerProcess
  readonly stdout: OutputEnd
  readonly stderr: OutputEnd
}

/** Start a process in a running container. */
export async function spawn(container: Lifecycle, argv: readonly string[], options: SpawnOptions): Promise<Spawned> {
  const { context, record } = container
  requireStatus('exec', container.status, record.name)
  checkCommand(argv)
  if (options.signal?.aborted) throw aborted(argv, options.signal)
  const monitor = container.requireMonitor('exec in')
  const { spec } = container
  const plan = compileExec(spec, execProcess(spec, argv, options, monitor.started, context.host.capabilities ?? []), {
    stdin: 'pass',
    stdout: 'pass',
    stderr: 'pass',
  })
  const input = inputEnd()
  const stdout = outputEnd()
  const stderr = outputEnd()
  try {
    const started = await monitor.exec(plan, [input.give, stdout.give, stderr.give])
    container.tell('exec')
    const process = new ContainerProcess(started, { stdin: input.stream, stdout: stdout.stream, stderr: stderr.stream })
    killOnAbort(process, options.signal)
    return { process, stdout, stderr }
  } catch (error) {
    input.stream.destroy()
    stdout.stream.destroy()
    stderr.stream.destroy()
    throw error
  }
}

/** @throws PodlingError `INVALID_OPTION` */
function checkCommand(argv: readonly string[]): void {
  const given: unknown = argv
  if (!Array.isArray(given) || given.some((word) => typeof word !== 'string')) {
    const hint = typeof given === 'string' ? "; for a shell's line use ['sh', '-c', line]" : ''
    throw new PodlingError('INVALID_OPTION', `argv: must be an array of strings, got ${show(given)}${hint}`)
  }
  if (argv.length === 0 || argv[0] === '') throw new PodlingError('INVALID_OPTION', 'argv: must name a command')
}

function killOnAbort(process: ContainerProcess, signal: AbortSignal | undefined): void {
  if (signal === undefined) return
  const kill = () => {
    process.kill().catch(() => undefined)
  }
  if (signal.aborted) kill()
  signal.addEventListener('abort', kill, { once: true })
  const forget = () => {
    signal.removeEventListener('abort', kill)
  }
  process.exited.then(forget, forget)
}

export function aborted(argv: readonly string[], signal: AbortSignal): PodlingError {
  return new PodlingError('ABORTED', `run ${argv[0] ?? ''}: aborted by the caller`, { cause: signal.reason })
}
