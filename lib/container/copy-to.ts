import { open, realpath, type FileHandle } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { PodlingError } from '../errors.js'
import { throwIfAborted } from '../image/progress.js'
import { bytePath, type OpenCopier } from '../storage/copy/copier.js'
import { packTree } from '../storage/copy/pack-tree.js'
import { tarOfTree, under } from '../storage/copy/tar-of-tree.js'
import { unpackInto, UnpackError } from '../storage/copy/tree-of-tar.js'
import { fileError } from '../storage/file-error.js'
import { codeForErrno } from '../sys/libc.js'
import { checkPath } from './copy-from.js'
import type { Lifecycle } from './lifecycle.js'
import { openRoot } from './root-view.js'

/** A tar as a stream, or the path of a file or directory of the host. */
export type CopySource = string | AsyncIterable<Uint8Array>

export interface CopyToOptions {
  /** Cancels; what was copied by then stays. */
  readonly signal?: AbortSignal
}

/** Put files into a directory of a container. */
export async function copyTo(
  container: Lifecycle,
  source: CopySource,
  path: string,
  { signal }: CopyToOptions,
): Promise<void> {
  checkPath(path, 'copy to')
  throwIfAborted(`copy to ${path} in container ${container.record.name}`, signal)
  const { openCopier, host: machine } = container.context
  const host = typeof source === 'string' ? await openHost(source) : undefined
  try {
    const tar = host === undefined ? (source as AsyncIterable<Uint8Array>) : host.tar(openCopier)
    const view = await openRoot(container, `copy to ${path} in`)
    try {
      await unpackInto(openCopier, view.tree, bytePath(path), tar, { signal, ids: machine.confinement })
    } finally {
      await view.close()
    }
  } catch (error) {
    throw writeError(error, container, path)
  } finally {
    await host?.close()
  }
}

/** A file or directory of the host as a tar of root's, with the name that it was asked for by. */
async function openHost(
  source: string,
): Promise<{ tar: (openCopier: OpenCopier) => AsyncIterable<Uint8Array>; close: () => Promise<void> }> {
  const name = bytePath(basename(resolve(source)))
  let directory: FileHandle
  let real: string
  try {
    real = await realpath(source)
    directory = await open(dirname(real), 'r')
  } catch (error) {
    throw fileError(error, `copy ${source} to a container`)
  }
  const toTar = under(name)
  return {
    tar: (openCopier) => {
      const tree = { kind: 'directory', descriptor: directory.fd } as const
      const parts = packTree(openCopier, tree, bytePath(basename(real)), 0)
      return tarOfTree(parts, (entry) => toTar({ ...entry, uid: 0, gid: 0 }))
    },
    close: () => directory.close(),
  }
}

function writeError(error: unknown, { record }: Lifecycle, path: string): unknown {
  const what = `copy to ${path} in container ${record.name}`
  if (error instanceof PodlingError && error.code === 'LAYER_INVALID') {
    return new PodlingError('ARCHIVE_INVALID', `${what}: ${error.message}`, { cause: error })
  }
  if (error instanceof PodlingError && error.code === 'ABORTED') {
    return new PodlingError('ABORTED', `${what}: aborted by the caller`, { cause: error.cause })
  }
  if (!(error instanceof UnpackError)) return error
  const { operation, syscall, errno } = error.failure
  const details = { cause: error, syscall, errno, path: error.failure.path }
  if (operation === 'start' && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errno)) {
    const why = errno === 'ENOENT' ? 'there is no such directory; make it first' : 'is not a directory'
    return new PodlingError('PATH_NOT_FOUND', `${what}: ${why}`, details)
  }
  if (errno === 'EROFS') return new PodlingError('PERMISSION_DENIED', `${what}: it is read-only there`, details)
  if (errno === 'ENOENT') {
    return new PodlingError(
      'PATH_NOT_FOUND',
      `${what}: the container has removed a directory on the way meanwhile`,
      details,
    )
  }
  const inside = ['EXDEV', 'ELOOP', 'ENOTDIR'].includes(errno)
  const why = inside
    ? 'it leads through a link, or through something that is no directory; copy to / with longer names instead'
    : `${syscall}: ${errno}`
  return new PodlingError(
    inside ? 'ARCHIVE_INVALID' : codeForErrno(errno),
    `${what}: ${operation} ${error.failure.path}: ${why}`,
    details,
  )
}
