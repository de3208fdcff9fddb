/** Device nodes of a container, and the links beside them. Pure. */
import type { Spec } from '../oci-spec.js'
import type { Operation } from '../operation.js'
import { isDev } from './mounts.js'

const defaultDevices = [
  { path: '/dev/null', major: 1, minor: 3 },
  { path: '/dev/zero', major: 1, minor: 5 },
  { path: '/dev/full', major: 1, minor: 7 },
  { path: '/dev/random', major: 1, minor: 8 },
  { path: '/dev/urandom', major: 1, minor: 9 },
  { path: '/dev/tty', major: 5, minor: 0 },
] as const

const defaultLinks = [
  ['/dev/fd', '/proc/self/fd'],
  ['/dev/stdin', '/proc/self/fd/0'],
  ['/dev/stdout', '/proc/self/fd/1'],
  ['/dev/stderr', '/proc/self/fd/2'],
  ['/dev/ptmx', 'pts/ptmx'],
] as const

/** Devices and links that the spec asks of every runtime (config-linux.md, "Default Devices", "Dev symbolic links"). */
export function deviceOperations(spec: Spec): Operation[] {
  const devices: Operation[] = (spec.linux?.devices ?? []).map((device) => ({
    op: 'mknod',
    path: withoutSlash(device.path),
    type: device.type === 'u' ? 'c' : device.type,
    mode: device.fileMode ?? 0o666,
    major: device.major ?? 0,
    minor: device.minor ?? 0,
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
  }))
  // A /dev that is the host's own, bound, has all that already; making it there would be making it on the host.
  if (!(spec.mounts ?? []).some(isDev)) return devices
  const given = new Set((spec.linux?.devices ?? []).map(({ path }) => withoutSlash(path)))
  const defaults = defaultDevices
    .filter(({ path }) => !given.has(path))
    .map(({ path, major, minor }): Operation => ({
      op: 'mknod',
      path,
      type: 'c',
      mode: 0o666,
      major,
      minor,
      uid: 0,
      gid: 0,
    }))
  const links = defaultLinks.map(([path, target]): Operation => ({ op: 'symlink', path, target }))
  return [...defaults, ...devices, ...links]
}

/** A device of the host's in the place of one that would be made: what may be done with it, the host's own mode says. */
export function borrowed(operation: Operation): Operation {
  if (operation.op !== 'mknod' || operation.type === 'p') return operation
  const { path } = operation
  return { op: 'bind', source: path, target: path, recursive: false, attributes: {} }
}

/** A name ends with its last component. */
function withoutSlash(path: string): string {
  return path.replace(/(?<=[^/])\/+$/, '')
}
