/**
 * What an unpacker says at its end: `ok`, or `failed`, the operation's name, the system call, its errno and the path,
 * each ended by NUL.
 */
import { PodlingError } from '../errors.js'
import { codeForErrno, errnoName } from '../sys/libc.js'

/** Why an unpacker failed, as plain data that can be sent between threads. */
export interface UnpackFailure {
  readonly operation: string
  readonly syscall: string
  readonly errno: string
  readonly path: string
}

/** @returns undefined for success. Anything but a whole status means that the unpacker was ended by force. */
export function parseUnpackStatus(bytes: Buffer): UnpackFailure | undefined {
  const [result, operation, syscall, errno, path, rest] = bytes.toString().split('\0')
  if (result === 'ok') return undefined
  if (result === 'failed' && operation !== undefined && syscall !== undefined && path !== undefined && rest === '') {
    return { operation, syscall, errno: errnoName(Number(errno)), path }
  }
  return { operation: 'unpack', syscall: 'read', errno: 'EPIPE', path: '' }
}

/** Errnos that the contents of a tar bring about, and not the machine. */
const blame = new Set([
  'EXDEV',
  'ELOOP',
  'ENOTDIR',
  'EISDIR',
  'ENOENT',
  'ENAMETOOLONG',
  'EINVAL',
  'ERANGE',
  'E2BIG',
  'EMLINK',
  'EBADMSG',
])

const explanations: Record<string, string> = {
  EXDEV: 'it leads out of the layer',
  ELOOP: 'it leads through a loop of symbolic links',
  ENOTDIR: 'it lies below something that is not a directory',
  ENOENT: 'what it links to is not in the layer',
  ENAMETOOLONG: 'a name in it is too long for the file system',
}

/** The error for a layer whose unpacking failed: the layer's fault (LAYER_INVALID), or the machine's. */
export function layerFailure({ operation, syscall, errno, path }: UnpackFailure): PodlingError {
  const fromLayer = blame.has(errno)
  const why = fromLayer ? `${explanations[errno] ?? syscall} (${errno})` : `${syscall}: ${errno}`
  const hint =
    errno === 'EPERM' && (operation === 'character' || operation === 'block') ? ', which needs CAP_MKNOD' : ''
  return new PodlingError(
    fromLayer ? 'LAYER_INVALID' : codeForErrno(errno),
    `apply a layer: ${operation} ${path}: ${why}${hint}`,
    { syscall, errno, path },
  )
}
