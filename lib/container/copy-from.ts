import { basename } from 'node:path'
import { Readable } from 'node:stream'
import { PodlingError } from '../errors.js'
import { abortedError, throwIfAborted } from '../image/progress.js'
import { bytePath } from '../storage/copy/copier.js'
import { PackFailure, type PackedPart } from '../storage/copy/pack-parser.js'
import { packTree } from '../storage/copy/pack-tree.js'
import { tarOfTree, under, type ToTar } from '../storage/copy/tar-of-tree.js'
import { packFlags } from '../storage/unpack-operations.js'
import type { Lifecycle } from './lifecycle.js'
import { openRoot } from './root-view.js'

export interface CopyFromOptions {
  /** When `path` is a symbolic link, copy what it leads to, inside the container. @default false: the link itself */
  readonly follow?: boolean
  /** Cancels: the stream ends with an error then. */
  readonly signal?: AbortSignal
}

export interface ExportOptions {
  /** Cancels: the stream ends with an error then. */
  readonly signal?: AbortSignal
}

/** Longer paths can't be used by any program (limits.h, PATH_MAX). */
const LONGEST_PATH = 4095

/** A file or a directory of a container, as a tar whose names begin with the last part of the path. */
export async function copyFrom(container: Lifecycle, path: string, options: CopyFromOptions): Promise<Readable> {
  checkPath(path, 'copy from')
  const name = path.endsWith('/.') ? '' : bytePath(basename(path))
  const flags = options.follow ? packFlags.follow : 0
  return readRoot(container, `copy from ${path} in`, path, flags, under(name), options.signal)
}

/** The root of a container without what is mounted in it, as a tar. */
export async function exportRoot(container: Lifecycle, { signal }: ExportOptions): Promise<Readable> {
  return readRoot(container, 'export', '/', packFlags.withoutMounts, under(''), signal)
}

async function readRoot(
  container: Lifecycle,
  what: string,
  path: string,
  flags: number,
  toTar: ToTar,
  signal: AbortSignal | undefined,
): Promise<Readable> {
  throwIfAborted(`${what} container ${container.record.name}`, signal)
  const view = await openRoot(container, what, { mounts: (flags & packFlags.withoutMounts) === 0 })
  const parts = packTree(container.context.openCopier, view.tree, bytePath(path), flags, signal)
  try {
    // What is not there is told before there is a stream.
    const first = await parts.next()
    const stream = Readable.from(translated(tarOfTree(resumed(first, parts), toTar), container, what), {
      objectMode: false,
    })
    const close = async (why?: PodlingError): Promise<void> => {
      container.views.delete(close)
      stream.destroy(why)
      await view.close()
    }
    const giveUp = (): void => {
      close(abortedError(`${what} container ${container.record.name}`, signal!)).catch(() => undefined)
    }
    container.views.add(close)
    stream.once('close', () => {
      signal?.removeEventListener('abort', giveUp)
      close().catch(() => undefined)
    })
    signal?.addEventListener('abort', giveUp, { once: true })
    if (signal?.aborted) giveUp()
    return stream
  } catch (error) {
    await view.close()
    throw readError(error, container, what)
  }
}

async function* resumed(
  first: IteratorResult<PackedPart[], unknown>,
  rest: AsyncGenerator<PackedPart[]>,
): AsyncGenerator<PackedPart[]> {
  try {
    if (!first.done) yield first.value
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

async function* translated(bytes: AsyncGenerator<Buffer>, container: Lifecycle, what: string): AsyncGenerator<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    throw readError(error, container, what)
  }
}

function readError(error: unknown, { record }: Lifecycle, what: string): unknown {
  if (!(error instanceof PackFailure)) return error
  const begins = error.syscall === 'openat2'
  const missing = begins && (error.errno === 'ENOENT' || error.errno === 'ENOTDIR')
  const why = missing
    ? 'there is no such file or directory'
    : begins && error.errno === 'ENOTSUP'
      ? "the kernel makes it up as it is read; use exec(['cat', ...])"
      : begins && error.errno === 'ELOOP'
        ? 'it leads through a loop of links, or through one of the kernel that could lead out of the container'
        : error.message
  const code = missing ? 'PATH_NOT_FOUND' : begins && error.errno === 'ENOTSUP' ? 'INVALID_OPTION' : error.code
  return new PodlingError(code, `${what} container ${record.name}: ${why}`, {
    cause: error,
    ...(error.errno === undefined ? {} : { errno: error.errno }),
  })
}

/** @throws PodlingError `INVALID_OPTION` */
export function checkPath(path: string, verb: string): void {
  const given: unknown = path
  if (typeof given === 'string' && given !== '' && !given.includes('\0') && Buffer.byteLength(given) <= LONGEST_PATH)
    return
  throw new PodlingError('INVALID_OPTION', `${verb} a container: path: must be a path, got ${JSON.stringify(given)}`)
}
