import type { Readable, Writable } from 'node:stream'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { checkKnown } from '../../schema/known-options.js'
import type { ExitStatus } from '../exit-status.js'
import type { Lifecycle } from '../lifecycle.js'
import { passes } from '../log/pass-streams.js'
import { requireStatus } from '../status.js'
import { defaultDetachKeys, parseDetachKeys } from './detach-keys.js'
import { checkTerminalSize, type TerminalSize } from './size.js'
import { hasTerminal } from './stdio.js'
import { detachableStreams, type DetachableStreams } from './streams.js'

export interface AttachOptions {
  /** Write to its standard input. @default whether it takes any (`stdin: true`) */
  readonly stdin?: boolean
  /**
   * Keys that detach when they are written to `stdin`, as podman-attach(1) has them: characters, `DEL`, and `ctrl-` with one
   * of `a-z @ [ \ ] ^ _`, with commas between. `''`: none.
   * @default 'ctrl-p,ctrl-q' with a terminal; '' without, so that any bytes can be written
   */
  readonly detachKeys?: string
}

/**
 * The streams of a container's pid 1, as one of any number that are attached: all it writes from then on, nothing of before
 * (for that there are its logs).
 *
 * What isn't read makes the container wait with its writing, once the pipe's 1 MiB are full, as with Podman: read the streams,
 * or detach. Disposing it detaches.
 */
export class ContainerAttachment implements AsyncDisposable {
  /** Its end is the container's with `stdinOnce`, when it is the last. One that takes no input refuses what is written. */
  readonly stdin: Writable
  readonly stdout: Readable
  /** Ended, for one with a terminal: there all is on `stdout`. */
  readonly stderr: Readable
  /** How the container ended, as {@link Container.wait} tells it. */
  readonly exited: Promise<ExitStatus>
  /** Resolves when it was detached, by keys or by {@link detach}. */
  readonly detached: Promise<void>
  readonly #streams: DetachableStreams
  readonly #resize: (size: TerminalSize) => Promise<void>

  /** @internal Use {@link Container.attach}. */
  constructor(streams: DetachableStreams, exited: Promise<ExitStatus>, resize: (size: TerminalSize) => Promise<void>) {
    this.#streams = streams
    this.#resize = resize
    this.stdin = streams.stdin
    this.stdout = streams.stdout
    this.stderr = streams.stderr
    this.detached = streams.detached
    this.exited = exited
    exited.catch(() => undefined)
  }

  /** As {@link Container.resize}. */
  resize(size: TerminalSize): Promise<void> {
    return this.#resize(size)
  }

  /** Let go of the streams: they end here. The container goes on. */
  async detach(): Promise<void> {
    this.#streams.detach()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach()
  }
}

export async function attach(container: Lifecycle, options: AttachOptions): Promise<ContainerAttachment> {
  const { record } = container
  const what = `attach to container ${record.name}`
  checkKnown(what, options, { stdin: true, detachKeys: true })
  const { stdin = record.options.stdin }: { stdin?: unknown } = options
  if (typeof stdin !== 'boolean') {
    throw new PodlingError('INVALID_OPTION', `${what}: stdin: must be true or false, got ${show(stdin)}`)
  }
  if (passes(record)) {
    throw new PodlingError(
      'INVALID_STATE',
      `${what}: with logDriver 'passthrough' its streams are those of the process that started it; choose another to attach`,
    )
  }
  const terminal = hasTerminal(record)
  const detachKeys = parseDetachKeys(options.detachKeys ?? (terminal ? defaultDetachKeys : ''))
  const noInput = record.options.stdin
    ? 'attached without stdin'
    : 'it takes no input; make it with stdin: true for that'
  if (stdin && !record.options.stdin) throw new PodlingError('INVALID_OPTION', `${what}: stdin: ${noInput}`)
  requireStatus('attach', container.status, record.name)
  const monitor = container.status === 'created' ? undefined : container.requireMonitor('attach to')
  const streams = detachableStreams({
    noInput: stdin ? undefined : `write to container ${record.name}: ${noInput}`,
    terminal,
    detachKeys,
  })
  const ended = monitor === undefined ? attachEarly(container, stdin, streams) : container.ended
  try {
    await monitor?.attach(stdin, streams.give)
  } catch (error) {
    streams.detach()
    throw error
  }
  if (monitor !== undefined) container.tell('attach')
  const never = (): Promise<ExitStatus> => Promise.reject(new Error('never started'))
  return new ContainerAttachment(streams, ended ?? never(), (size) => resize(container, size))
}

function attachEarly(container: Lifecycle, stdin: boolean, streams: DetachableStreams): Promise<ExitStatus> {
  return new Promise((resolve, reject) => {
    const takeBack = container.early.add({
      stdin,
      give: streams.give,
      started(ended) {
        container.tell('attach')
        resolve(ended)
      },
      failed(error) {
        streams.detach()
        reject(error)
      },
    })
    void streams.detached.then(takeBack)
  })
}

/** @throws PodlingError `INVALID_OPTION`, `INVALID_STATE` */
export async function resize(container: Lifecycle, size: TerminalSize): Promise<void> {
  const { record } = container
  const what = `resize the terminal of container ${record.name}`
  checkTerminalSize(what, size)
  if (!hasTerminal(record)) {
    throw new PodlingError('INVALID_STATE', `${what}: it has none; make it with tty: true for that`)
  }
  requireStatus('resize', container.status, record.name)
  await container.requireMonitor('resize the terminal of').resize(size.columns, size.rows)
}
