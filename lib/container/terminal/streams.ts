/** The host's ends of pipes that the monitor has the other ends of, and that can be let go of at any time. */
import { PassThrough, Readable, Writable } from 'node:stream'
import { PodlingError } from '../../errors.js'
import { inputEnd, outputEnd } from '../stream-ends.js'
import { watchForKeys } from './detach-keys.js'

export interface DetachableStreams {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** What the monitor gets, in the order that it wants them. Belongs to whoever sends it. */
  readonly give: readonly number[]
  /** Settles when all output has come, and whoever reads it has it. */
  readonly read: Promise<void>
  /** Resolves when they were let go of, by the keys or by {@link detach}. */
  readonly detached: Promise<void>
  /** Let go of them: the outputs end, input goes nowhere. */
  readonly detach: () => void
}

export interface StreamsWanted {
  /** Why there is no input: what a writer is told. `undefined`: there is. */
  readonly noInput?: string | undefined
  /** One output instead of two. */
  readonly terminal: boolean
  /** Empty: none. */
  readonly detachKeys: Buffer
}

/** Make the pipes. */
export function detachableStreams({ noInput, terminal, detachKeys }: StreamsWanted): DetachableStreams {
  const out = output()
  const err = terminal ? undefined : output()
  const input = noInput === undefined ? inputEnd() : undefined
  const give = [input?.give, out.give, err?.give].filter((fd) => fd !== undefined)
  let letGo: () => void = () => undefined
  const detached = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const detach = (): void => {
    // The outputs first: so the monitor knows that the input has not ended, but lost one who writes.
    out.detach()
    err?.detach()
    input?.stream.end()
    letGo()
  }
  const stdin = input === undefined ? refusing(noInput ?? '') : detachKeys.length === 0 ? input.stream : keyed(input.stream, detachKeys, detach) // prettier-ignore
  return {
    stdin,
    stdout: out.stream,
    stderr: err?.stream ?? Readable.from([]),
    give,
    read: Promise.all([out.read, err?.read]).then(() => undefined),
    detached,
    detach,
  }
}

/**
 * A pipe's output by way of a stream that can end at any time, where the pipe's own would be torn off. What isn't read makes
 * the writer wait all the same.
 */
function output(): { stream: Readable; give: number; read: Promise<void>; detach(): void } {
  const { stream: pipe, give } = outputEnd()
  const stream = new PassThrough()
  pipe.on('error', () => undefined)
  pipe.pipe(stream)
  pipe.once('close', () => {
    stream.end()
  })
  // Not of the pipe: what it gave before anybody listened waits in the stream, which tells of it later.
  const read = new Promise<void>((resolve) => {
    stream.once('close', resolve)
  })
  const detach = (): void => {
    pipe.unpipe(stream)
    pipe.destroy()
    stream.end()
  }
  // Whoever destroys what it reads lets go of it.
  stream.once('close', () => {
    pipe.destroy()
  })
  return { stream, give, read, detach }
}

function keyed(target: Writable, keys: Buffer, detach: () => void): Writable {
  const watched = watchForKeys(keys, detach)
  watched.pipe(target)
  // A process need not read all that is written to it.
  target.once('close', () => {
    watched.resume()
  })
  return watched
}

function refusing(why: string): Writable {
  const stream = new Writable({
    write(_chunk, _encoding, done) {
      done(new PodlingError('INVALID_STATE', why))
    },
  })
  // Told to whoever writes, by its callback; the host must not crash of it.
  stream.on('error', () => undefined)
  return stream
}
