/** What a plugin writes to its stdout and stderr, up to a limit. */
import type { ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'

export const outputLimit = 1 << 20
/** Milliseconds between looks at how long a file has become. */
const lookDelay = 50

export interface PluginOutput {
  /** For the options of spawn(). */
  readonly stdio: 'pipe' | number
  /** @param onFull is called when it comes to more than the limit */
  follow(child: ChildProcess, onFull: () => void): void
  readonly full: boolean
  readonly text: string
  close(): void
}

/** The bytes of a stream. */
export class Collector {
  readonly #chunks: Buffer[] = []
  #size = 0
  full = false

  follow(stream: Readable | null, onFull: () => void = () => undefined): void {
    stream?.on('data', (chunk: Buffer) => {
      if (this.full) return
      this.#size += chunk.length
      this.full = this.#size > outputLimit
      if (this.full) onFull()
      else this.#chunks.push(chunk)
    })
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }
}

export class PipeOutput implements PluginOutput {
  readonly stdio = 'pipe'
  readonly #collector = new Collector()

  follow({ stdout }: ChildProcess, onFull: () => void): void {
    this.#collector.follow(stdout, onFull)
  }

  get full(): boolean {
    return this.#collector.full
  }

  get text(): string {
    return this.#collector.text
  }

  close(): void {
    // The stream ends with the child.
  }
}

/** A file, from which others read what a plugin says after its host was killed. */
export class FileOutput implements PluginOutput {
  readonly stdio: number
  readonly #path: string
  #timer: NodeJS.Timeout | undefined

  constructor(path: string) {
    this.#path = path
    this.stdio = openSync(path, 'w', 0o600)
  }

  follow(_: ChildProcess, onFull: () => void): void {
    this.#timer = setInterval(() => {
      if (this.full) onFull()
    }, lookDelay)
  }

  get full(): boolean {
    return fstatSync(this.stdio).size > outputLimit
  }

  get text(): string {
    return readFileSync(this.#path, 'utf8')
  }

  close(): void {
    clearInterval(this.#timer)
    closeSync(this.stdio)
  }
}
