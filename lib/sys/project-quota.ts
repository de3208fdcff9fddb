/**
 * Quotas of directory trees, by project ids (quotactl(2), xfs_quota(8) "DIRECTORY TREE QUOTA"): what is made in a
 * directory gets the directory's id, and a limit is on all that have it. The structs are those of linux/fs.h, linux/quota.h
 * and linux/dqblk_xfs.h; quotactl_fd(2) is as old as the oldest kernel of Podling's.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { ioctlStruct, quotactl } from './file-calls.js'
import { systemError } from './libc.js'

/** Most that the files of a project may take; 0: no limit. */
export interface ProjectLimits {
  readonly bytes: number
  readonly inodes: number
}

/** What the files of a project take, and may take. */
export interface ProjectUse extends ProjectLimits {
  readonly usedBytes: number
  readonly usedInodes: number
}

const FS_IOC_FSGETXATTR = 0x801c_581f
const FS_IOC_FSSETXATTR = 0x401c_5820
/** struct fsxattr: xflags at 0, projid at 12. */
const fsxattrSize = 28
const FS_XFLAG_PROJINHERIT = 0x200

const PRJQUOTA = 2
const Q_GETQUOTA = 0x80_0007
const Q_SETQUOTA = 0x80_0008
/** Asks both kinds of file systems: ext4 answers what XFS was made to. */
const Q_XGETQSTAT = 0x5805
/** struct fs_quota_stat: u16 flags at 2. */
const statusSize = 80
const FS_QUOTA_PDQ_ENFD = 0x20
/** struct if_dqblk. */
const dqblkSize = 72
const QIF_LIMITS = 5
/** Block limits are counted in these, whatever the file system's blocks are. */
const quotaBlock = 1024

/** Whether the file system of a directory holds projects to their limits. */
export function holdsProjects(directory: string): boolean {
  return onDirectory(directory, (fd) => {
    const status = Buffer.alloc(statusSize)
    // ENOSYS: it has no quotas at all; ESRCH: they are off.
    if (quotactl(fd, commandOf(Q_XGETQSTAT), 0, status) !== undefined) return false
    return (status.readUInt16LE(2) & FS_QUOTA_PDQ_ENFD) !== 0
  })
}

/** Give a file to a project, or a directory with all that will be made in it. What is in that already stays what it is. */
export function joinProject(path: string, project: number): void {
  onFile(path, 0, (fd) => {
    const what = `make ${path} a part of quota project ${String(project)}`
    const attributes = Buffer.alloc(fsxattrSize)
    ioctlStruct(fd, FS_IOC_FSGETXATTR, attributes, what, path)
    if (fstatSync(fd).isDirectory())
      attributes.writeUInt32LE((attributes.readUInt32LE(0) | FS_XFLAG_PROJINHERIT) >>> 0, 0)
    attributes.writeUInt32LE(project, 12)
    ioctlStruct(fd, FS_IOC_FSSETXATTR, attributes, what, path)
  })
}

/** @param directory any of the file system */
export function limitProject(directory: string, project: number, { bytes, inodes }: ProjectLimits): void {
  const block = Buffer.alloc(dqblkSize)
  block.writeBigUInt64LE(BigInt(Math.ceil(bytes / quotaBlock)), 0)
  block.writeBigUInt64LE(BigInt(inodes), 24)
  block.writeUInt32LE(QIF_LIMITS, 64)
  const errno = onDirectory(directory, (fd) => quotactl(fd, commandOf(Q_SETQUOTA), project, block))
  if (errno !== undefined)
    throw systemError('quotactl', errno, `limit quota project ${String(project)} on ${directory}`, directory)
}

/** @param directory any of the file system */
export function projectUse(directory: string, project: number): ProjectUse {
  const block = Buffer.alloc(dqblkSize)
  const errno = onDirectory(directory, (fd) => quotactl(fd, commandOf(Q_GETQUOTA), project, block))
  // XFS has nothing to tell of what was never used.
  if (errno !== undefined && errno !== 'ENOENT')
    throw systemError('quotactl', errno, `look at quota project ${String(project)} on ${directory}`, directory)
  const number = (at: number): number => Number(block.readBigUInt64LE(at))
  return { bytes: number(0) * quotaBlock, inodes: number(24), usedBytes: number(16), usedInodes: number(40) }
}

function commandOf(call: number): number {
  return call * 2 ** 8 + PRJQUOTA
}

function onDirectory<T>(directory: string, work: (fd: number) => T): T {
  return onFile(directory, constants.O_DIRECTORY, work)
}

function onFile<T>(path: string, flags: number, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | flags)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
