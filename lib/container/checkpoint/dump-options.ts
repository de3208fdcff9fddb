/** How CRIU is to dump a container of ours. Pure, but for what it is told. */
import type { MountInfo } from '../../sys/mountinfo.js'
import { IGNORE_CGROUPS, networkLocks, type CriuOptions } from './criu-messages.js'

/** File systems whose content CRIU keeps, or that have none of their own. */
const kept = new Set(['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue'])

export function isKept(type: string): boolean {
  return kept.has(type)
}

/**
 * The mounts that come from outside and are put there again by the restore: binds of the host, volumes, cgroups. A part of
 * what CRIU keeps itself, such as a masked path, is none of them.
 */
export function externalMounts(mounts: readonly MountInfo[]): MountInfo[] {
  const whole = new Set(mounts.filter(({ root, type }) => root === '/' && isKept(type)).map(({ device }) => device))
  return mounts.filter(({ mountPoint, device }) => mountPoint !== '/' && !whole.has(device))
}

export interface DumpRequest {
  readonly imagesDirFd: number
  /** Where the log is to be. */
  readonly workDirFd: number
  /** Its pid 1, in the host's pid namespace. */
  readonly pid: number
  readonly logFile: string
  readonly mounts: readonly MountInfo[]
  /** The inode of its network namespace, where that isn't the host's. */
  readonly network?: string
  readonly leaveRunning: boolean
  readonly tcpEstablished: boolean
  readonly fileLocks: boolean
  /** The master of its terminal is outside of it, and left out. */
  readonly terminal: boolean
  /** It is frozen there already, and stays so. */
  readonly freezer?: string
}

/** The key by which a restore gives the container a network namespace of its own. */
export const NETWORK_KEY = 'podling-network'

/** The key of a mount that comes from outside. */
export function mountKey(target: string): string {
  return `podling${target.replaceAll(/[^\w.-]/g, (character) => `=${character.codePointAt(0)!.toString(16)}=`)}`
}

export function dumpOptions(dump: DumpRequest): CriuOptions {
  const { imagesDirFd, workDirFd, pid, logFile, leaveRunning, tcpEstablished, fileLocks, terminal, network, freezer } =
    dump
  return {
    imagesDirFd,
    workDirFd,
    pid,
    logFile,
    logLevel: 4,
    leaveRunning,
    tcpEstablished,
    fileLocks,
    extUnixSk: true,
    linkRemap: true,
    orphanPtsMaster: terminal,
    manageCgroups: true,
    manageCgroupsMode: IGNORE_CGROUPS,
    networkLock: tcpEstablished ? networkLocks.nftables : networkLocks.skip,
    external: [
      ...externalMounts(dump.mounts).map(({ mountPoint }) => `mnt[${mountPoint}]:${mountKey(mountPoint)}`),
      ...(network === undefined ? [] : [`net[${network}]:${NETWORK_KEY}`]),
    ],
    ...(freezer === undefined ? {} : { freezeCgroup: freezer }),
  }
}
