/**
 * The container part of a dev tool: keeps a container up while somebody works on its program. It is started anew when a
 * file changes, by its restart policy when it fails, and what it prints goes on from one run to the next.
 */
import { watch } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Runtime, type Container, type ContainerOptions } from 'podling'

interface WatchOptions extends ContainerOptions {
  /** The directory whose changes matter; the container has it at /app. */
  readonly directory: string
  readonly onLine: (line: string) => void
}

class WatchedContainer implements AsyncDisposable {
  readonly #container: Container
  readonly #onLine: (line: string) => void
  readonly #end = new AbortController()
  #work: Promise<unknown> = Promise.resolve()

  static async start(runtime: Runtime, { directory, onLine, ...options }: WatchOptions): Promise<WatchedContainer> {
    const container = await runtime.containers.create({
      ...options,
      mounts: [...(options.mounts ?? []), { type: 'bind', source: directory, target: '/app', readOnly: true }],
      restart: 'on-failure',
    })
    return new WatchedContainer(container, directory, onLine)
  }

  private constructor(container: Container, directory: string, onLine: (line: string) => void) {
    this.#container = container
    this.#onLine = onLine
    container.on('restarting', ({ exitCode }) => {
      onLine(`failed with exit code ${String(exitCode)}`)
    })
    let timer: NodeJS.Timeout | undefined
    watch(directory, { recursive: true, signal: this.#end.signal }, () => {
      // An editor makes several changes of one: the last of them counts.
      clearTimeout(timer)
      timer = setTimeout(() => {
        this.#next()
      }, 100)
    })
    this.#next()
  }

  /** After what is under way already. */
  #next(): void {
    this.#work = this.#work
      .then(async () => {
        if (this.#end.signal.aborted) return
        await this.#container.stop({ timeout: '2s' })
        const since = new Date()
        await this.#container.start()
        void this.#follow(since)
      })
      .catch((error: unknown) => {
        this.#onLine(String(error))
      })
  }

  /** Until it is stopped: that it fails and is started again doesn't end its log. */
  async #follow(since: Date): Promise<void> {
    for await (const { text } of this.#container.logs({ follow: true, since })) this.#onLine(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#work
    await this.#container.remove({ force: true })
  }
}

// The rest plays the one who works on it.
const directory = await mkdtemp(join(tmpdir(), 'podling-watch-'))
const program = join(directory, 'main.js')
const seen = new Map<string, () => void>()
const sees = (line: string) => new Promise<void>((resolve) => seen.set(line, resolve))
const onLine = (line: string): void => {
  console.log(line)
  seen.get(line)?.()
}
const serve = "setInterval(() => undefined, 1000); process.on('SIGTERM', () => process.exit())"

await writeFile(program, `console.log('first version'); ${serve}`)
await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({ binaries: ['node'] })
try {
  const first = sees('first version')
  await using _watched = await WatchedContainer.start(runtime, {
    image,
    command: ['node', '/app/main.js'],
    network: 'none',
    directory,
    onLine,
  })
  await first

  const failed = sees('failed with exit code 7')
  await writeFile(program, "console.log('second version, with a mistake'); process.exit(7)")
  await failed

  const third = sees('third version')
  await writeFile(program, `console.log('third version'); ${serve}`)
  await third
} finally {
  await rm(directory, { recursive: true })
}
