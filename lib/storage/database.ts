/**
 * The state database: records by table and key, in one LMDB file that several processes share.
 *
 * Writes are committed in groups. A transaction's work runs when this process holds the database's write lock; what it
 * writes is kept in memory, seen by its own reads, and handed to LMDB when the work is done. All work that waits by then
 * runs under the same lock and is made durable by the same fdatasync(2), on LMDB's own thread. Three reasons:
 * a thrown error leaves no trace; the event loop never waits for a disk or for another process; and the asynchronous
 * transactions of lmdb (callbacks from its thread) don't return on some builds of Node 20, whereas its plain
 * asynchronous writes do.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type * as Lmdb from 'lmdb'
import type { RootDatabase } from 'lmdb'
import { PodlingError } from '../errors.js'
import { late } from '../late.js'
import { commitError, commitFailure, invalidState } from './database-errors.js'
import { checkDatabaseFile } from './database-file.js'
import { lockForLook, lockForWrites } from './database-lock.js'
import { DatabaseRoom } from './database-room.js'
import { fileError } from './file-error.js'

const lmdb = late('lmdb') as () => typeof Lmdb

/** The version of what the records mean. A database of a newer one is refused. */
const format = 1

/** Milliseconds that a close may take after a commit has failed. */
const closeGrace = 1000

/** Keys are `table NUL key`, so that tables need no room, and no lock, of their own in LMDB. */
const longestKey = 1900

/** Records of one kind by key, JSON-able values. */
export interface Table<V> {
  /** The record as of the last commit of any process; inside a transaction, as of its own writes. */
  get(key: string): V | undefined
  /** Durable when it resolves. Inside a transaction it takes part in it, and the transaction's promise is the one to await. */
  put(key: string, value: V): Promise<void>
  /** @returns whether there was one. Inside a transaction see {@link Table.put}. */
  remove(key: string): Promise<boolean>
  /** All records, or those whose key begins with `prefix`, in the order of their keys' bytes: a snapshot. */
  entries(prefix?: string): Iterable<[string, V]>
}

interface Job {
  run(): void
  resolve(): void
  reject(error: unknown): void
}

/** Writes that LMDB doesn't have yet; undefined removes. Keys are `table NUL key`. */
type Pending = Map<string, unknown>

export class Database {
  readonly #path: string
  readonly #directory: string
  readonly #lmdb: RootDatabase<unknown, Buffer>
  readonly #room: DatabaseRoom
  #queue: Job[] = []
  #committing: Promise<void> | undefined
  /** Set while a transaction's work runs, which is never across an await. */
  #current: { readonly group: Pending; readonly own: Pending } | undefined
  #closed = false
  #commitFailed = false

  private constructor(directory: string, path: string, lmdb: RootDatabase<unknown, Buffer>) {
    this.#directory = directory
    this.#path = path
    this.#lmdb = lmdb
    this.#room = new DatabaseRoom(path)
  }

  /**
   * Open the database in `directory`, made (mode 0700) when missing.
   * @throws PodlingError STATE_INVALID when the file is damaged or was written by a newer Podling.
   */
  static async open(directory: string): Promise<Database> {
    const path = join(directory, 'state.mdb')
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, `make the state directory ${directory}`)
    }
    const lock = await lockForLook(directory)
    try {
      checkDatabaseFile(path)
    } finally {
      lock.release()
    }
    let database: Database
    try {
      const opened = lmdb().open<unknown, Buffer>({
        path,
        noSubdir: true,
        encoding: 'json',
        keyEncoding: 'binary',
        eventTurnBatching: false,
      })
      database = new Database(directory, path, opened)
      chmodSync(path, 0o600)
      // A killed process leaves its place in the table of readers, and pages that nobody reads could not be reused.
      opened.readerCheck()
    } catch (error) {
      throw invalidState(path, 'cannot be opened', error)
    }
    try {
      await database.#checkFormat()
    } catch (error) {
      await database.close()
      throw error
    }
    return database
  }

  /** The table of this name. Nothing is made; a table that was never written to is empty. */
  table<V>(name: string): Table<V> {
    const prefix = `${name}\0`
    const full = (key: string): string => {
      if (Buffer.byteLength(prefix) + Buffer.byteLength(key) > longestKey || key.includes('\0')) {
        throw new PodlingError(
          'INVALID_OPTION',
          `${name} key is too long or has a NUL: ${JSON.stringify(key.slice(0, 80))}`,
        )
      }
      return prefix + key
    }
    return {
      get: (key) => this.#get(full(key)) as V | undefined,
      put: async (key, value) => {
        await this.#write(full(key), value)
      },
      remove: async (key) => {
        const name = full(key)
        return this.#inline() ? this.#removeNow(name) : await this.transaction(() => this.#removeNow(name))
      },
      entries: (start = '') => this.#entries(prefix, start) as [string, V][],
    }
  }

  /**
   * Run `work`, which must be synchronous, with exclusive write access among all processes. What it puts and removes
   * becomes visible and durable as a whole when the promise resolves; when it throws, nothing of it does.
   * A transaction inside another one is part of that.
   * @throws PodlingError DISK_FULL, RUNTIME_CLOSED, and whatever `work` throws.
   */
  transaction<T>(work: () => T): Promise<T> {
    if (this.#inline()) {
      return new Promise((resolve) => {
        resolve(work())
      })
    }
    if (this.#closed) return Promise.reject(new PodlingError('RUNTIME_CLOSED', `the database ${this.#path} is closed`))
    return new Promise<T>((resolve, reject) => {
      let result: T
      this.#queue.push({
        run: () => {
          result = work()
        },
        resolve: () => {
          resolve(result)
        },
        reject,
      })
      this.#committing ??= this.#commitQueue()
    })
  }

  /** Wait for what is under way, then close. Closing twice is no error. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#committing
    this.#room.close()
    const closing = this.#lmdb.close()
    // After some failures lmdb waits for ever for what will never be committed.
    await (this.#commitFailed ? Promise.race([closing, sleep(closeGrace)]) : closing)
  }

  async #checkFormat(): Promise<void> {
    const meta = this.table<number>('meta')
    const found = meta.get('format')
    if (found === undefined) {
      await this.transaction(() => {
        if (meta.get('format') === undefined) void meta.put('format', format)
      })
    } else if (found !== format) {
      throw invalidState(this.#path, `has format ${String(found)}, and this version of Podling knows ${String(format)}`)
    }
  }

  #inline(): boolean {
    return this.#current !== undefined
  }

  #get(key: string): unknown {
    const current = this.#current
    if (current?.own.has(key)) return copy(current.own.get(key))
    if (current?.group.has(key)) return copy(current.group.get(key))
    if (current === undefined) this.#assertOpen()
    try {
      // LMDB's reader keeps its snapshot for a turn of the event loop; another process's commit must show at once.
      this.#lmdb.resetReadTxn()
      return this.#lmdb.get(Buffer.from(key))
    } catch (error) {
      throw invalidState(this.#path, `holds a record that can't be read (${printable(key)})`, error)
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new PodlingError('RUNTIME_CLOSED', `the database ${this.#path} is closed`)
  }

  #entries(table: string, start: string): [string, unknown][] {
    if (this.#current === undefined) this.#assertOpen()
    const prefix = table + start
    const found = new Map<string, unknown>()
    try {
      this.#lmdb.resetReadTxn()
      // No byte of a key is 255, since keys are UTF-8.
      const end = Buffer.concat([Buffer.from(prefix), Buffer.of(0xff)])
      for (const { key, value } of this.#lmdb.getRange({ start: Buffer.from(prefix), end }))
        found.set(key.toString(), value)
    } catch (error) {
      throw invalidState(this.#path, `holds records that can't be read (${printable(prefix)})`, error)
    }
    if (this.#current !== undefined) {
      for (const pending of [this.#current.group, this.#current.own]) {
        for (const [key, value] of pending) {
          if (!key.startsWith(prefix)) continue
          if (value === undefined) found.delete(key)
          else found.set(key, copy(value))
        }
      }
    }
    return [...found]
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .map(([key, value]) => [key.slice(table.length), value])
  }

  #write(key: string, value: unknown): Promise<void> {
    // What the caller does to the object after this is not part of the record.
    const kept = copy(value)
    const current = this.#current
    if (current === undefined) return this.transaction(() => void this.#current?.own.set(key, kept))
    current.own.set(key, kept)
    return Promise.resolve()
  }

  #removeNow(key: string): boolean {
    const there = this.#get(key) !== undefined
    if (there) this.#current?.own.set(key, undefined)
    return there
  }

  async #commitQueue(): Promise<void> {
    // Transactions of one turn of the event loop go together.
    await nextTurn()
    while (this.#queue.length > 0) {
      let done: Job[] = []
      try {
        const lock = await lockForWrites(this.#directory)
        try {
          const group: Pending = new Map()
          done = this.#runQueue(group)
          await this.#commit(group)
        } finally {
          lock.release()
        }
        for (const job of done) job.resolve()
      } catch (error) {
        const failure = commitError(error, this.#path, this.#directory)
        for (const job of done.length > 0 ? done : this.#queue.splice(0)) job.reject(failure)
      }
    }
    this.#committing = undefined
  }

  /** Run all work that waits. @returns those jobs that succeeded; the others are rejected already. */
  #runQueue(group: Pending): Job[] {
    const done: Job[] = []
    for (const job of this.#queue.splice(0)) {
      const own: Pending = new Map()
      this.#current = { group, own }
      try {
        job.run()
        for (const [key, value] of own) group.set(key, value)
        done.push(job)
      } catch (error) {
        job.reject(error)
      } finally {
        this.#current = undefined
      }
    }
    return done
  }

  async #commit(group: Pending): Promise<void> {
    if (group.size === 0) return
    this.#room.take(group.size)
    const writes: Promise<unknown>[] = []
    // All writes of one batch are one LMDB transaction.
    const batch = this.#lmdb.batch(() => {
      for (const [key, value] of group) {
        writes.push(value === undefined ? this.#lmdb.remove(Buffer.from(key)) : this.#lmdb.put(Buffer.from(key), value))
      }
    })
    // Each of them rejects when the commit fails, and one that nobody waits for would end the process.
    const results = await Promise.allSettled([batch, ...writes])
    for (const result of results) {
      if (result.status === 'fulfilled') continue
      this.#commitFailed = true
      throw await commitFailure(result.reason)
    }
    this.#lmdb.resetReadTxn()
  }
}

function copy(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown)
}

function printable(key: string): string {
  return key.replaceAll('\0', ' ')
}
