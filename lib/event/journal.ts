/**
 * The journal of a root's events: `journal`, and `journal.1` before it. Every process appends to it, monitors of
 * containers too, by one write(2) with O_APPEND an event, which the kernel doesn't mix with others; nobody waits for
 * anybody. Who finds it full renames it and begins another, so that it takes twice its limit at most.
 *
 * An event never fails what it tells of: one that can't be written (a full disk) is counted and forgotten.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { tryLock } from '../sys/file-calls.js'
import { encodeEvent, type NewEvent } from './event.js'

/** Bytes of one file of the journal: some ten thousand events. */
export const JOURNAL_LIMIT = 4 << 20

/** Where the journal is, for those who write to it. */
export interface JournalPaths {
  readonly directory: string
  /** Events are appended here. */
  readonly current: string
  /** What was full before. */
  readonly previous: string
}

/** A place in the journal: what comes behind it is newer. */
export interface JournalPosition {
  readonly inode: bigint
  readonly offset: number
}

function journalPaths(directory: string): JournalPaths {
  return { directory, current: `${directory}/journal`, previous: `${directory}/journal.1` }
}

export class EventJournal {
  readonly paths: JournalPaths
  readonly #limit: number
  #fd: number | undefined
  #inode = 0n
  #lost = 0

  private constructor(directory: string, limit: number) {
    this.paths = journalPaths(directory)
    this.#limit = limit
  }

  /** The journal in `directory`, made (mode 0700) when missing. @param limit bytes of one of its two files */
  static open(directory: string, limit = JOURNAL_LIMIT): EventJournal {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    return new EventJournal(directory, limit)
  }

  /** How many events of this process could not be written. */
  get lost(): number {
    return this.#lost
  }

  /** Note what has happened. Never throws. */
  write(event: NewEvent): void {
    // An empty line in front: whatever a full disk left of another's line is thereby ended.
    const line = Buffer.from(`\n${encodeEvent(Date.now(), event)}\n`)
    try {
      const fd = this.#current()
      if (writeSync(fd, line) < line.length) this.#lost++
      if (fstatSync(fd).size > this.#limit) this.#rotate(fd)
    } catch {
      this.#lost++
      this.close()
    }
  }

  /** Where it ends now. */
  end(): JournalPosition {
    const status = statSync(this.paths.current, { bigint: true, throwIfNoEntry: false })
    return status === undefined ? { inode: 0n, offset: 0 } : { inode: status.ino, offset: Number(status.size) }
  }

  /** Let go of its file; a later event opens it again. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  /** The file that has the name now; another process may have begun it. */
  #current(): number {
    if (this.#fd !== undefined && inodeOf(this.paths.current) === this.#inode) return this.#fd
    this.close()
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
    const fd = openSync(this.paths.current, flags, 0o600)
    this.#fd = fd
    this.#inode = fstatSync(fd, { bigint: true }).ino
    return fd
  }

  /** One of those who find it full does it; whoever opened it before still writes to it, and readers look there. */
  #rotate(fd: number): void {
    if (!tryLock(fd, 'exclusive')) return
    // The lock goes with the descriptor.
    if (inodeOf(this.paths.current) === this.#inode) renameSync(this.paths.current, this.paths.previous)
    this.close()
  }
}

/** @returns undefined where nothing has this name */
export function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}
