/**
 * The log of a container in the systemd journal, read by journalctl(1): it comes with the journald that wrote it, knows every
 * version of its files, and what a damaged one does to it befalls a process of its own. (libsystemd's functions wait for the
 * disk, which in this process would hold up the event loop, and die of a file that is cut short while they look at it.)
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../../errors.js'
import { ExportReader, type JournalFields } from './export-format.js'
import type { LogEntry } from './line.js'
import { entryFilter, type LogOptions } from './log-options.js'

const JOURNALCTL = '/usr/bin/journalctl'
const FIELDS = ['MESSAGE', 'PRIORITY', 'CONTAINER_PARTIAL_MESSAGE', '_SOURCE_REALTIME_TIMESTAMP']
/** How long to wait before a journalctl that ended is started again. */
const PAUSE = 500

/** The entries of a container, by its full id. */
export async function* readJournal(
  id: string,
  options: LogOptions,
  ended: Promise<unknown>,
): AsyncGenerator<LogEntry[]> {
  const reading = new JournalReading(id)
  // journald writes some time after it was sent something.
  await synchronise()
  if (options.tail !== undefined) yield await reading.tail(options.tail, options)
  if (options.follow) yield* reading.follow(ended, options.signal)
  if (options.signal?.aborted) return
  if (options.follow) await synchronise()
  if (options.follow || options.tail === undefined) yield* reading.rest(options.signal)
}

class JournalReading {
  readonly #match: string
  #cursor: string | undefined

  constructor(id: string) {
    this.#match = `CONTAINER_ID_FULL=${id}`
  }

  /** What came after what was read. */
  async *rest(signal: AbortSignal | undefined): AsyncGenerator<LogEntry[]> {
    yield* this.#entries(this.#after(), signal)
  }

  /** What comes, until nothing more will; the last of it may be missing. */
  async *follow(ended: Promise<unknown>, signal: AbortSignal | undefined): AsyncGenerator<LogEntry[]> {
    const over = new AbortController()
    const end = (): void => {
      over.abort()
    }
    ended.then(end, end)
    const stop = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal])
    while (!stop.aborted) {
      yield* this.#entries(['--follow', '--no-tail', ...this.#after()], stop)
      await sleep(PAUSE, undefined, { signal: stop }).catch(() => undefined)
    }
  }

  /** The last lines, from the end backwards, so that a long log costs no more than its tail. */
  async tail(count: number, options: LogOptions): Promise<LogEntry[]> {
    const accepts = entryFilter(options)
    const found: LogEntry[] = []
    let lines = 0
    let newest: string | undefined
    // An entry counts when it ends a line, which begins after the one before: one more must be seen.
    search: for await (const batch of this.#entries(['--reverse'], options.signal)) {
      newest ??= this.#first
      if (count === 0) break
      for (const entry of batch) {
        if (!accepts(entry)) continue
        if (!entry.partial && ++lines > count) break search
        found.push(entry)
      }
    }
    this.#cursor = newest
    return found.reverse()
  }

  /** The cursor of the first entry of the last batch. */
  #first: string | undefined

  #after(): string[] {
    return this.#cursor === undefined ? [] : [`--after-cursor=${this.#cursor}`]
  }

  async *#entries(flags: readonly string[], signal: AbortSignal | undefined): AsyncGenerator<LogEntry[]> {
    const output = ['--quiet', '--no-pager', '--all', '--output=export', `--output-fields=${FIELDS.join(',')}`]
    const reader = new ExportReader()
    for await (const chunk of journalctl([...output, ...flags, this.#match], signal)) {
      const read = reader.push(chunk)
      this.#first = read[0]?.get('__CURSOR')?.toString('latin1') ?? this.#first
      this.#cursor = read.at(-1)?.get('__CURSOR')?.toString('latin1') ?? this.#cursor
      const entries = read.flatMap(toEntry)
      if (entries.length > 0) yield entries
    }
  }
}

function toEntry(fields: JournalFields): LogEntry[] {
  const content = fields.get('MESSAGE')
  const micros = Number(fields.get('_SOURCE_REALTIME_TIMESTAMP') ?? fields.get('__REALTIME_TIMESTAMP'))
  if (content === undefined || !Number.isFinite(micros)) return []
  const time = new Date(Math.floor(micros / 1000))
  return [
    {
      // As Podman and Docker tell them apart: 3 is an error, 6 an information (syslog(3)).
      stream: fields.get('PRIORITY')?.toString() === '3' ? 'stderr' : 'stdout',
      content,
      partial: fields.get('CONTAINER_PARTIAL_MESSAGE')?.toString() === 'true',
      time,
      timestamp: `${time.toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, '0')}+00:00`,
    },
  ]
}

/** Have journald write what it was sent so far. It is no failure where none runs. */
async function synchronise(): Promise<void> {
  try {
    for await (const _ of journalctl(['--sync'], undefined)) continue
  } catch (error) {
    if (error instanceof PodlingError && error.errno === 'ENOENT') throw error
  }
}

/** What it prints. An abort ends it quietly. @throws PodlingError `LOG_UNREADABLE` */
async function* journalctl(flags: readonly string[], signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  const what = 'read the log of a container from the journal'
  const child = spawn(JOURNALCTL, flags, { stdio: ['ignore', 'pipe', 'pipe'], env: { LC_ALL: 'C' } })
  const closed = once(child, 'close') as Promise<[number | null]>
  closed.catch(() => undefined)
  const end = (): void => {
    child.kill('SIGKILL')
  }
  let says = ''
  child.stderr.on('data', (chunk: Buffer) => (says = `${says}${chunk.toString()}`.slice(-1000)))
  signal?.addEventListener('abort', end)
  try {
    if (signal?.aborted) return
    for await (const chunk of child.stdout) yield chunk as Buffer
    const [code] = await closed
    if (code !== 0 && !signal?.aborted) {
      throw new PodlingError(
        'LOG_UNREADABLE',
        `${what}: journalctl failed: ${says.trim() || `exit code ${String(code)}`}`,
      )
    }
  } catch (error) {
    if (error instanceof PodlingError) throw error
    const errno = (error as NodeJS.ErrnoException).code ?? 'EIO'
    const message = `${what}: ${JOURNALCTL} can't be run (${errno}); it comes with systemd`
    throw new PodlingError('LOG_UNREADABLE', message, { cause: error, errno })
  } finally {
    signal?.removeEventListener('abort', end)
    end()
    await closed.catch(() => undefined)
  }
}
