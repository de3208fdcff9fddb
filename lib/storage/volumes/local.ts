/**
 * The driver `local`: a directory below the root of the runtime; or with options whatever mount(8) can mount, seen by the
 * containers that use it and by nobody else.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { codeForErrno } from '../../sys/libc.js'
import { labelFile } from '../../sys/file-label.js'
import { joinProject } from '../../sys/project-quota.js'
import { fileError, isErrno } from '../file-error.js'
import type { Quotas } from '../quotas/quotas.js'
import type { StorageRights } from '../rights.js'
import type { DriverVolume, VolumeDriver, VolumeMount, VolumeMountAttributes } from './driver.js'
import { KeeperFailure, type Keepers } from './keeper.js'
import { parseLocalOptions, type LocalMount } from './local-options.js'
import { isNfs, mountNfs } from './nfs.js'

export class LocalDriver implements VolumeDriver {
  readonly #keepers: Keepers
  readonly #quotas: Quotas
  readonly #rights: StorageRights
  readonly #label: string | undefined

  /** @param label of what is made in a volume, which begins as that of its directory */
  constructor(keepers: Keepers, quotas: Quotas, rights: StorageRights, label?: string) {
    this.#label = label
    this.#rights = rights
    this.#keepers = keepers
    this.#quotas = quotas
  }

  async create(volume: DriverVolume): Promise<void> {
    const { uid = 0, gid = 0, quota, mount } = parseLocalOptions(volume.name, volume.options)
    if (quota !== undefined) {
      const project = await this.#quotas.allot(volume.name, quota, `create volume ${volume.name}`)
      // With what stands beside the data: the first copy of an image's content is made there and renamed.
      joinProject(volume.directory, project)
    }
    const data = makeDirectory(volume, mount === undefined ? '_data' : 'mount', this.#label)
    if (uid !== 0 || gid !== 0) await this.#rights.give(data, { uid, gid, mode: 0o755 })
  }

  remove(): Promise<void> {
    return Promise.resolve()
  }

  async mount(volume: DriverVolume): Promise<VolumeMount> {
    const { mount, quota } = parseLocalOptions(volume.name, volume.options)
    // Making it is its mount's work too: what a container brings along is made when it starts.
    if (mount === undefined) {
      if (quota !== undefined) this.#quotas.require(`mount volume ${volume.name}`)
      return { path: makeDirectory(volume, '_data', this.#label), staging: volume.directory }
    }
    const target = makeDirectory(volume, 'mount')
    const { fstype, device, attributes, recursive } = mount
    if (fstype === 'bind') {
      return { path: target, operations: [{ op: 'bind', source: device, target, recursive, attributes }] }
    }
    // One mount for all its containers: what is in a tmpfs is shared, and a file system on a device is mounted once.
    const work = { kind: 'mount', fstype, source: device, attributes: attributeBits(attributes) } as const
    try {
      const hold = (options: readonly string[]) =>
        this.#keepers.hold(volume.name, target, { ...work, options }, new Uint8Array())
      const { socket, connection } = isNfs(fstype)
        ? await mountNfs(volume.name, mount, hold)
        : await hold(mount.options)
      return {
        path: target,
        operations: [{ op: 'adopt', keeper: socket, target }],
        held: [connection],
        fresh: fstype === 'tmpfs',
      }
    } catch (error) {
      throw error instanceof KeeperFailure ? explained(error, volume.name, mount) : error
    }
  }

  path(volume: DriverVolume): string | undefined {
    const { mount } = parseLocalOptions(volume.name, volume.options)
    if (mount === undefined) return join(volume.directory, '_data')
    return mount.fstype === 'bind' ? mount.device : undefined
  }
}

function makeDirectory(volume: DriverVolume, name: string, label?: string): string {
  const directory = join(volume.directory, name)
  try {
    // In a container its own mode counts, here that of the directory above it.
    mkdirSync(directory, { mode: 0o755 })
    if (label !== undefined) labelFile(directory, label)
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw fileError(error, `make the directory of volume ${volume.name}`)
  }
  return directory
}

/** MOUNT_ATTR_* of linux/mount.h. */
function attributeBits({ readOnly, noSuid, noDev, noExec, accessTime }: VolumeMountAttributes): number {
  const times = { relatime: 0, noatime: 0x10, strictatime: 0x20 }
  return (
    (readOnly === true ? 1 : 0) |
    (noSuid === true ? 2 : 0) |
    (noDev === true ? 4 : 0) |
    (noExec === true ? 8 : 0) |
    times[accessTime ?? 'relatime']
  )
}

function explained(error: KeeperFailure, name: string, { fstype, device }: LocalMount): PodlingError {
  const { errno = '', message } = error
  const hint = hintFor(errno, message, fstype, device)
  const code = errno === 'ENODEV' ? 'KERNEL_UNSUPPORTED' : codeForErrno(errno)
  return new PodlingError(
    code === 'SYSTEM_CALL_FAILED' ? 'VOLUME_FAILED' : code,
    `mount volume ${name} (${fstype} on ${device}): ${[message, errno].filter((part) => part !== '').join(': ')}${hint}`,
    { cause: error, ...(errno === '' ? {} : { errno, syscall: message.split(':')[0] ?? '' }) },
  )
}

function hintFor(errno: string, said: string, fstype: string, device: string): string {
  switch (errno) {
    case 'ENODEV':
      return `; this kernel has no file system ${fstype} (see /proc/filesystems)`
    case 'ENOENT':
    case 'ENOTBLK':
    case 'ENXIO':
      return said.startsWith('set up') ? '; the kernel must have loop devices' : `; see that ${device} is there`
    case 'EINVAL':
      return said.startsWith('fsconfig create')
        ? `; see that there is a file system ${fstype} on it`
        : '; see mount(8) for its options'
    case 'EPROTONOSUPPORT':
      return '; the server speaks no such version: say in options.o which one it does, such as vers=3 with nolock (nfs(5))'
    case 'ECONNREFUSED':
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return '; the server does not answer'
    case 'EBUSY':
      return `; another has ${device} mounted, which would destroy it`
    case 'EPERM':
      return (
        `; where containers are in a user namespace the kernel lets nobody but the machine's root mount ${fstype}: ` +
        'mount it as root, and give the directory as a bind'
      )
    case 'EACCES':
      return '; the server, or the device, does not allow it'
    default:
      return ''
  }
}
