/**
 * Plugins work on one container one after the other, as the specification wants it, whichever process runs them. The lock
 * is a flock(2) on a descriptor that plugins inherit: where their host is killed, it is theirs until they have ended, and
 * the next host waits for that, as a DEL beside an ADD that still runs would leave things behind.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryLock } from '../../sys/file-calls.js'
import { outputLimit } from './output.js'
import { processStart } from '../../sys/process-start.js'

const retryDelay = 5
/** Milliseconds for a plugin whose host has died, and that nobody listens to any more; then it is killed. */
const orphanPatience = 5000
/** So long after it was killed, a plugin's own children may be there, which are none of ours. */
const lingering = 1000
const lineSize = 48

export class CniLock {
  /** To be inherited by plugins. */
  readonly fd: number
  readonly #path: string

  private constructor(fd: number, path: string) {
    this.fd = fd
    this.#path = path
    this.#note(0, process.pid)
  }

  /** Wait for it. */
  static async take(directory: string, containerId: string, patience = orphanPatience): Promise<CniLock> {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const path = join(directory, `${containerId}.lock`)
    for (let orphaned = 0; ;) {
      const lock = CniLock.#tryTake(path)
      if (lock !== undefined) return lock
      await sleep(retryDelay)
      const [host, plugin] = holders(path)
      // A host that lives keeps its plugins' time itself.
      if (host === undefined || lives(host)) continue
      orphaned += retryDelay
      if (orphaned >= patience && plugin !== undefined && lives(plugin)) kill(plugin)
      if (orphaned >= patience + lingering) rmSync(path, { force: true })
    }
  }

  /** The containers of locks that are there, whoever has them. */
  static leftIn(directory: string): string[] {
    if (!existsSync(directory)) return []
    return readdirSync(directory).flatMap((name) => /^([^.~]+)\.lock$/.exec(name)?.[1] ?? [])
  }

  static #tryTake(path: string): CniLock | undefined {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    try {
      // The one before may have removed the file by now; another one may have made it anew.
      if (tryLock(fd, 'exclusive') && isFile(fd, path)) return new CniLock(fd, path)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    closeSync(fd)
    return undefined
  }

  /** What the last plugin of a host that was killed has said, though nobody listened. */
  leftOutput(): string | undefined {
    const { size } = statSync(this.outputPath, { throwIfNoEntry: false }) ?? { size: 0 }
    return size === 0 || size > outputLimit ? undefined : readFileSync(this.outputPath, 'utf8')
  }

  /** Note the plugin that has it, should this process not be there to end it. */
  ranBy(pid: number): void {
    this.#note(1, pid)
  }

  #note(line: number, pid: number): void {
    writeSync(this.fd, `${String(pid)} ${processStart(pid)}`.padEnd(lineSize - 1) + '\n', line * lineSize)
  }

  /** Where plugins write their stdout: a file, which outlives a host that is killed. */
  get outputPath(): string {
    return `${this.#path}.out`
  }

  release(): void {
    rmSync(this.outputPath, { force: true })
    rmSync(this.#path, { force: true })
    closeSync(this.fd)
  }
}

/** A process, with when it began: its number may be another's by now. */
interface Holder {
  readonly pid: number
  readonly start: string
}

function holders(path: string): Holder[] {
  try {
    const lines = readFileSync(path, 'latin1').split('\n')
    return lines.flatMap((line) => {
      const [pid = '', start = ''] = line.trim().split(' ')
      return /^\d+$/.test(pid) ? [{ pid: Number(pid), start }] : []
    })
  } catch {
    // It was given back.
    return []
  }
}

function lives({ pid, start }: Holder): boolean {
  return start !== '0' && processStart(pid) === start
}

/** With what it has others do. */
function kill({ pid }: Holder): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

function isFile(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false })
  return there !== undefined && there.ino === fstatSync(fd).ino
}
