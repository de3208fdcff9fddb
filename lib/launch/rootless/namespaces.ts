/**
 * The user and the mount namespace of an ordinary user, which all launchers on one run directory share, those of other
 * processes too, and with them the monitors: processes of two user namespaces have no rights over each other. The first
 * launcher makes them, and they are there for as long as anybody lives in them; see native/rootless.c for what is said.
 *
 * A lock keeps others out meanwhile. Whoever is killed at any step leaves the lock free and nothing made: a launcher that has
 * not been told to go on ends with its host, and its namespaces with it.
 */
import { mkdirSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { lockFile } from '../../storage/lock.js'
import { close } from '../../sys/descriptors.js'
import { errnoName } from '../../sys/libc.js'
import type { Failure, Frame, RequestKind } from '../protocol.js'
import type { IdFacts } from './id-maps.js'
import { mapIds } from './map-ids.js'
import { Members } from './members.js'

/** A launcher that has just been started, and waits to be told. */
export interface NewLauncher {
  readonly pid: number
  ask(kind: RequestKind, descriptors: readonly number[]): Promise<Frame>
}

export interface NamespacesOptions {
  readonly runRoot: string
  /** The sockets that monitors may listen on. */
  readonly monitorSockets: () => readonly string[]
  /** Asked when namespaces are to be made. */
  readonly idFacts: () => IdFacts
  /** Why the kernel refuses them, with the remedy. */
  readonly obstacle: string | undefined
  /** Why it may, where that can't be known before. */
  readonly suspect: string | undefined
}

export class Namespaces {
  readonly #options: NamespacesOptions
  readonly #directory: string
  readonly #members: Members

  constructor(options: NamespacesOptions) {
    this.#options = options
    this.#directory = `${options.runRoot}/launchers`
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    this.#members = new Members(this.#directory, options.monitorSockets)
  }

  /**
   * Resolves when the launcher is inside, those that are there already or new ones.
   * @returns what is to be called when it has ended
   * @throws PodlingError `PERMISSION_DENIED`, `LIMIT_REACHED`, and what {@link NamespacesOptions.idFacts} throws
   */
  async enter(launcher: NewLauncher): Promise<() => void> {
    const lock = await lockFile(`${this.#options.runRoot}/launchers.lock`)
    try {
      if (!(await this.#join(launcher))) await this.#make(launcher)
      return this.#members.add(launcher.pid)
    } finally {
      lock.release()
    }
  }

  /** @returns false where nobody lives in any */
  async #join(launcher: NewLauncher): Promise<boolean> {
    for (const pidfd of this.#members.living()) {
      try {
        // One that has died since can't be entered by; the next one then.
        if ((await launcher.ask('join', [pidfd])).kind === 'inside') return true
      } finally {
        close(pidfd)
      }
    }
    return false
  }

  async #make(launcher: NewLauncher): Promise<void> {
    const facts = this.#options.idFacts()
    this.#must(await launcher.ask('make', []), 'unmapped')
    await mapIds(launcher.pid, facts)
    this.#must(await launcher.ask('mapped', []), 'inside')
  }

  #must(frame: Frame, kind: 'unmapped' | 'inside'): void {
    if (frame.kind === kind) return
    throw refusal(frame.kind === 'failed' ? frame.failure : undefined, this.#options)
  }
}

function refusal(
  failure: Failure | undefined,
  { obstacle, suspect }: Pick<NamespacesOptions, 'obstacle' | 'suspect'>,
): PodlingError {
  const errno = errnoName(failure?.error ?? 0)
  const what = failure?.index === 0 ? 'a user namespace' : 'a mount namespace in its user namespace'
  const why =
    obstacle ??
    (errno === 'ENOSPC'
      ? 'there are as many as user.max_user_namespaces or user.max_mnt_namespaces allows; raise them as root'
      : (suspect ??
        'something on this machine forbids it, as the seccomp filter of a container around this process does; run as root'))
  return new PodlingError(
    errno === 'ENOSPC' ? 'LIMIT_REACHED' : 'PERMISSION_DENIED',
    `make ${what} for containers: ${errno}: ${why}`,
    { syscall: failure?.syscall ?? 'unshare', errno },
  )
}
