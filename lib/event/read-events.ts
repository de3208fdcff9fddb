import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { watchDirectory } from '../sys/watch-directory.js'
import { decodeEvent, type RuntimeEvent } from './event.js'
import { eventFilter, type EventOptions } from './event-options.js'
import { inodeOf, type JournalPaths, type JournalPosition } from './journal.js'

const CHUNK = 64 * 1024
const NEWLINE = 0x0a

/** Milliseconds for which a file that has been renamed is still read: who has it open may be about to write. */
const LATE = 500

/** Milliseconds that a timer of Node can wait. */
const LONGEST_TIMER = 2 ** 31 - 1

/**
 * The events of a journal, those that are kept and those that come. The file is the buffer: a slow reader costs no memory.
 * @param from @default all that is kept
 * @param closed ends the iteration, as `options.signal` does
 */
export async function* readEvents(
  paths: JournalPaths,
  options: EventOptions,
  from: JournalPosition | undefined,
  closed: AbortSignal,
): AsyncGenerator<RuntimeEvent, void, undefined> {
  const { follow = true, until, signal } = options
  const accepts = eventFilter(options)
  const growth = new Growth(paths.directory, until)
  const stop = AbortSignal.any(signal === undefined ? [closed] : [closed, signal])
  stop.addEventListener('abort', growth.wake)
  const files = new Files(paths)
  try {
    await files.begin(from)
    const stopped = (): boolean => stop.aborted
    while (!stopped()) {
      const over = growth.over
      let came = false
      for await (const event of files.read()) {
        came = true
        if (stopped()) return
        if (accepts(event)) yield event
      }
      if (came) continue
      if (!follow || over) return
      await growth.wait(files.late)
    }
  } finally {
    stop.removeEventListener('abort', growth.wake)
    growth.close()
    await files.close()
  }
}

/** The files of a journal that are open, oldest first, each as far as it was read. */
class Files {
  readonly #paths: JournalPaths
  #open: JournalFile[] = []

  constructor(paths: JournalPaths) {
    this.#paths = paths
  }

  /** Whether a file is open that has been renamed, and may be written to for a little longer. */
  get late(): boolean {
    return this.#open.length > 1
  }

  async begin(from: JournalPosition | undefined): Promise<void> {
    await this.#add(this.#paths.previous)
    await this.#add(this.#paths.current)
    const at = this.#open.findIndex(({ inode }) => inode === from?.inode)
    if (from === undefined || at < 0) return
    for (const file of this.#open.splice(0, at)) await file.close()
    this.#open[0]?.skip(from.offset)
  }

  /** What is there and was not given yet. */
  async *read(): AsyncGenerator<RuntimeEvent> {
    const last = this.#open.at(-1)
    if (inodeOf(this.#paths.current) !== last?.inode) {
      if (last === undefined || inodeOf(this.#paths.previous) !== last.inode) {
        // It was renamed twice since we looked.
        if (last !== undefined) yield { time: new Date(), type: 'system', action: 'events_lost' }
        await this.#add(this.#paths.previous)
      }
      await this.#add(this.#paths.current)
    }
    for (const file of this.#open) yield* file.read()
    await this.#forgetOld()
  }

  async #forgetOld(): Promise<void> {
    const now = Date.now()
    const old = this.#open.slice(0, -1).filter((file) => now - (file.renamedAt ??= now) > LATE)
    for (const file of old) await file.close()
    this.#open = this.#open.filter((file) => !old.includes(file))
  }

  async #add(path: string): Promise<void> {
    const file = await JournalFile.open(path)
    if (file === undefined) return
    if (this.#open.some(({ inode }) => inode === file.inode)) await file.close()
    else this.#open.push(file)
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((file) => file.close()))
  }
}

class JournalFile {
  readonly inode: bigint
  /** Milliseconds since the epoch; undefined while it is the last. */
  renamedAt: number | undefined
  readonly #handle: FileHandle
  #offset = 0
  #rest: Buffer = Buffer.alloc(0)

  private constructor(handle: FileHandle, inode: bigint) {
    this.#handle = handle
    this.inode = inode
  }

  /** @returns undefined where there is none */
  static async open(path: string): Promise<JournalFile | undefined> {
    let handle
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    return new JournalFile(handle, (await handle.stat({ bigint: true })).ino)
  }

  skip(offset: number): void {
    this.#offset = offset
  }

  /** The events up to its end. */
  async *read(): AsyncGenerator<RuntimeEvent> {
    for (;;) {
      const chunk = Buffer.allocUnsafe(CHUNK)
      const { bytesRead } = await this.#handle.read(chunk, 0, CHUNK, this.#offset)
      if (bytesRead === 0) return
      this.#offset += bytesRead
      const bytes = Buffer.concat([this.#rest, chunk.subarray(0, bytesRead)])
      const end = bytes.lastIndexOf(NEWLINE) + 1
      this.#rest = bytes.subarray(end)
      for (const line of bytes.toString('utf8', 0, end).split('\n')) {
        const event = line === '' ? undefined : decodeEvent(line)
        if (event !== undefined) yield event
      }
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** Tells when the journal may have grown (inotify(7)), and when its time is over. */
class Growth {
  #changed = false
  #resolve: (() => void) | undefined
  readonly #watcher
  readonly #until: number

  constructor(directory: string, until: Date | undefined) {
    this.#watcher = watchDirectory(directory, this.wake)
    this.#until = until?.getTime() ?? Infinity
  }

  /** Has the time come after which no event is wanted? */
  get over(): boolean {
    return Date.now() >= this.#until
  }

  readonly wake = (): void => {
    this.#changed = true
    this.#resolve?.()
  }

  /** @param late look again soon, whatever happens */
  async wait(late: boolean): Promise<void> {
    if (!this.#changed) {
      // Each waiting has a timer of its own. One for all would not do: a timer may fire before the wall clock shows its
      // time, clocks are set, and none is longer than LONGEST_TIMER.
      const left = Math.min(this.#until - Date.now(), late ? LATE : LONGEST_TIMER)
      const timer = late || this.#until < Infinity ? setTimeout(this.wake, Math.max(left, 1)) : undefined
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
      this.#resolve = undefined
      clearTimeout(timer)
    }
    this.#changed = false
  }

  close(): void {
    this.#watcher.close()
  }
}
