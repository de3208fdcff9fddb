import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PodlingError } from '../errors.js'
import type { Lifecycle } from './lifecycle.js'
import type { ProcessExit } from './process.js'
import type { SpawnOptions } from './spawn-options.js'
import { aborted, spawn } from './spawn.js'
import type { Output } from './stream-ends.js'

export interface ExecOptions extends Omit<SpawnOptions, 'detachKeys'> {
  /** What the process reads; on a terminal it is typed, and Ctrl-D after it. @default nothing: the end of the file at once */
  readonly stdin?: string | Uint8Array | Readable
  /** The most bytes of each stream to keep; a process that writes more is killed. @default 134217728 (128 MiB) */
  readonly maxOutput?: number
}

/** What a command gave. */
export interface ExecResult extends ProcessExit {
  /** All it wrote to its standard output, or its terminal, decoded as UTF-8. */
  readonly stdout: string
  readonly stderr: string
}

const MAX_OUTPUT = 128 * 1024 * 1024

/** Run a command to its end. Throws only when it could not run; an exit code is a result. */
export async function exec(container: Lifecycle, argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
  // Its input is data, whatever keys that looks like.
  const { process, stdout, stderr } = await spawn(container, argv, { ...options, detachKeys: '' })
  const limit = options.maxOutput ?? MAX_OUTPUT
  let tooMuch: string | undefined
  const overflow = (stream: string) => () => {
    tooMuch ??= stream
    process.kill().catch(() => undefined)
  }
  const outputs = [collect(stdout, limit, overflow('stdout')), collect(stderr, limit, overflow('stderr'))] as const
  const fed = feed(process.stdin, options.stdin)
  try {
    const exit = await process.exited
    await Promise.all([stdout.drained(), stderr.drained()])
    if (options.signal?.aborted) throw aborted(argv, options.signal)
    if (tooMuch !== undefined) {
      throw new PodlingError(
        'OUTPUT_TOO_LARGE',
        `exec ${argv[0] ?? ''}: it wrote more than ${String(limit)} bytes to its ${tooMuch}; raise maxOutput, or use spawn() and read as it comes`,
      )
    }
    return { ...exit, stdout: outputs[0](), stderr: outputs[1]() }
  } finally {
    process.stdin.destroy()
    process.stdout.destroy()
    process.stderr.destroy()
    await fed
  }
}

/** Keep what a stream gives; the function that comes back puts it together. */
function collect({ stream }: Output, limit: number, overflow: () => void): () => string {
  const chunks: Buffer[] = []
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= limit) chunks.push(chunk)
    else overflow()
  })
  stream.on('error', () => undefined)
  return () => Buffer.concat(chunks).toString('utf8')
}

/** A process need not read all of its input: that the pipe breaks is no failure of the command. */
async function feed(target: Writable, input: ExecOptions['stdin']): Promise<void> {
  if (input === undefined) {
    target.end()
    return
  }
  const source = input instanceof Readable ? input : Readable.from([input])
  await pipeline(source, target).catch(() => undefined)
}
