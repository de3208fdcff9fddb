import { PodlingError } from '../errors.js'
import { show } from '../schema/faults.js'
import { compileExec } from '../launch/compile/exec.js'
import { labelledPipe } from '../sys/labelled-pipe.js'
import { execProcess } from './exec-process.js'
import type { Lifecycle } from './lifecycle.js'
import { ContainerProcess, type ProcessStreams } from './process.js'
import { requireStatus } from './status.js'
import type { SpawnOptions } from './spawn-options.js'
import { inputEnd, outputEnd, type MakePipe, type Output } from './stream-ends.js'
import { defaultDetachKeys, parseDetachKeys } from './terminal/detach-keys.js'
import { detachableStreams } from './terminal/streams.js'

/** A started process with the counters that exec() needs to know when all its output is there. */
export interface Spawned {
  readonly process: ContainerProcess
  readonly stdout: Output
  readonly stderr: Output
}

/** Start a process in a running container. */
export async function spawn(container: Lifecycle, argv: readonly string[], options: SpawnOptions): Promise<Spawned> {
  const { context, record } = container
  requireStatus('exec', container.status, record.name)
  checkCommand(argv)
  if (options.signal?.aborted) throw aborted(argv, options.signal)
  const monitor = container.requireMonitor('exec in')
  const { spec } = container
  const program = execProcess(spec, argv, options, monitor.started, context.host.capabilities ?? [])
  const { give, destroy, ...spawned } = options.tty ? onTerminal(options) : onPipes(options, pipesOf(container))
  const mode = options.tty ? 'terminal' : 'pass'
  try {
    const started = await monitor.exec(compileExec(spec, program, { stdin: mode, stdout: mode, stderr: mode }), give)
    container.tell('exec')
    const process = new ContainerProcess(started, spawned.streams)
    killOnAbort(process, options.signal)
    return { process, stdout: spawned.stdout, stderr: spawned.stderr }
  } catch (error) {
    destroy()
    throw error
  }
}

/** Both ends of a process's streams, in the making. */
interface Ends extends Omit<Spawned, 'process'> {
  readonly streams: ProcessStreams
  /** To the monitor, in this order. */
  readonly give: readonly number[]
  readonly destroy: () => void
}

/** SELinux lets a container use no pipe of ours, but one that is called as its own files are. */
function pipesOf({ spec, paths }: Lifecycle): MakePipe | undefined {
  const label = spec.linux?.mountLabel
  return label === undefined ? undefined : () => labelledPipe(paths.runDirectory, label)
}

function onPipes({ detachKeys }: SpawnOptions, make: MakePipe | undefined): Ends {
  if (detachKeys !== undefined && detachKeys !== '') {
    throw new PodlingError('INVALID_OPTION', 'detachKeys: has no effect without tty: true; leave it out')
  }
  const input = inputEnd(make)
  const stdout = outputEnd(make)
  const stderr = outputEnd(make)
  return {
    streams: { stdin: input.stream, stdout: stdout.stream, stderr: stderr.stream },
    stdout,
    stderr,
    give: [input.give, stdout.give, stderr.give],
    destroy() {
      input.stream.destroy()
      stdout.stream.destroy()
      stderr.stream.destroy()
    },
  }
}

function onTerminal({ detachKeys = defaultDetachKeys }: SpawnOptions): Ends {
  const streams = detachableStreams({ terminal: true, detachKeys: parseDetachKeys(detachKeys) })
  const { stdin, stdout, stderr, give, read, detached, detach } = streams
  return {
    streams: { stdin, stdout, stderr, terminal: { detached, detach } },
    stdout: { stream: stdout, drained: () => read },
    stderr: { stream: stderr, drained: () => Promise.resolve() },
    give,
    destroy: detach,
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
