import { randomUUID } from 'node:crypto'
import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { labelFile } from './file-label.js'
import { makeFifo } from './file-calls.js'

/**
 * A pipe that SELinux calls by `label`, where one by pipe(2) is called as its maker is. It has a name in `directory` while it
 * is made. Close-on-exec at both ends.
 */
export function labelledPipe(directory: string, label: string): { read: number; write: number } {
  const path = `${directory}/stream-${randomUUID()}`
  const opened: number[] = []
  const open = (flags: number): number => {
    const fd = openSync(path, flags | constants.O_NOFOLLOW)
    opened.push(fd)
    return fd
  }
  makeFifo(path)
  try {
    labelFile(path, label)
    // With both ends open already, neither of the others waits for its like.
    const both = open(constants.O_RDWR)
    const ends = { read: open(constants.O_RDONLY), write: open(constants.O_WRONLY) }
    closeSync(both)
    return ends
  } catch (error) {
    for (const fd of opened) closeSync(fd)
    throw error
  } finally {
    unlinkSync(path)
  }
}
