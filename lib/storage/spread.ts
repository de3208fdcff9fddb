/**
 * Trees that have nothing to do with each other stand apart on the disk.
 *
 * ext4 puts a directory, and the files in it, near the directory above, so that every new layer would go where old ones
 * were removed. Without a journal it also passes over each inode that was freed within the last minutes, one by one, for
 * every file that it makes (fs/ext4/ialloc.c, `recently_deleted`): 14,000 files took 10 s after as many had been removed,
 * and 0.4 s elsewhere. What is made in a directory at "the top of a hierarchy" (chattr(1), `T`) is spread over the disk.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { addInodeFlags } from '../sys/file-calls.js'

const FS_TOPDIR_FL = 0x20000

/** Spread what is made in this directory from now on, where its file system does such things. */
export function spreadDirectories(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    addInodeFlags(fd, FS_TOPDIR_FL)
  } finally {
    closeSync(fd)
  }
}
