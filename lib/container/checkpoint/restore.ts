import { createReadStream, mkdirSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import type { Plan } from '../../launch/plan.js'
import type { ContainerContext } from '../context.js'
import type { Lifecycle } from '../lifecycle.js'
import type { ContainerOptions } from '../options.js'
import type { GivenOptions } from '../record.js'
import { CriuChannel } from './criu-channel.js'
import { checkFilters } from './filters.js'
import { FILES } from './files.js'
import { findCriu } from './find-criu.js'
import { inspectRestored } from './inspect-restored.js'
import { processesOf } from './processes.js'
import { restorePlan } from './restore-plan.js'
import { NETWORK_FD, resume } from './resume.js'
import { restoreOptions } from './rights.js'
import type { CheckpointSource } from './source.js'

export interface RestoreOptions extends GivenOptions {
  /** The directory or the archive of a checkpoint. */
  readonly path: string
  /** Take up its TCP connections; its address must be the same as then. @default false */
  readonly tcpEstablished?: boolean
}

/**
 * The options of the container that a checkpoint is restored to. What it had changed of its files is a layer of an image
 * without a name on top of its own: several that are restored share it, and `prune` takes it away behind the last.
 * @throws PodlingError `CHECKPOINT_INVALID`, `IMAGE_NOT_FOUND` when its image isn't here
 */
export async function optionsOfRestored(
  context: ContainerContext,
  { directory, description, own }: CheckpointSource,
  { path, tcpEstablished: _, ...asked }: RestoreOptions,
): Promise<ContainerOptions> {
  const { options, missing } = restoreOptions(description.options, asked, own)
  if (missing.length > 0) {
    throw new PodlingError(
      'CHECKPOINT_INVALID',
      `restore from ${path}: this root didn't make it, so what gives rights must be given again, or given up by undefined: ${missing.join(', ')}`,
      { path },
    )
  }
  const { id } = description.image
  const base = await context.images.get(id).catch((error: unknown) => {
    if (!(error instanceof PodlingError && error.code === 'IMAGE_NOT_FOUND')) throw error
    throw new PodlingError(
      'IMAGE_NOT_FOUND',
      `restore from ${path}: its image ${JSON.stringify(description.image.name)} (${id}) is not here; pull or load it first`,
      { cause: error },
    )
  })
  const changed = await context.images.commit(base.id, createReadStream(join(directory, FILES.changes)), {})
  return { ...options, image: changed.id }
}

/** It is restored, and lives as its options say from here on. */
export async function endRestoring(container: Lifecycle): Promise<void> {
  const { context, record } = container
  if (record.restoring === undefined) return
  const { restoring: _, ...restored } = record
  await context.database.transaction(() => {
    void context.records.put(record.id, restored)
  })
  container.record = restored
}

/** What a start does otherwise for a container that is restored. */
export class Restorer {
  readonly #source: CheckpointSource
  readonly #criu: string
  readonly #what: string
  readonly #tcpEstablished: boolean
  readonly #channel = CriuChannel.open()

  constructor(container: Lifecycle, source: CheckpointSource, { tcpEstablished = false }: RestoreOptions) {
    this.#source = source
    this.#what = `restore container ${container.record.name}`
    this.#criu = findCriu(container.context, this.#what)
    this.#tcpEstablished = tcpEstablished
  }

  /** The plan that starts CRIU where pid 1 would be. */
  plan({ paths }: Lifecycle, plan: Plan): Plan {
    const directory = mountsOf(paths.runDirectory)
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const { mounts } = this.#source.description
    return restorePlan(plan, {
      criu: this.#criu,
      mounts,
      directory,
      ready: ['mount', 'network', 'cgroup', 'user'],
      // A terminal is CRIU's to make.
      stdio:
        plan.stdio.stdin === 'terminal'
          ? { stdin: 'pass', stdout: 'null', stderr: 'null' }
          : { ...plan.stdio, stdin: 'pass' },
      descriptors: { socket: 0, network: NETWORK_FD },
    })
  }

  /** A descriptor that goes to CRIU as its stdin; it is given away. */
  give(): number {
    return this.#channel.give()
  }

  /** Have CRIU, which runs as pid 1 of this monitor, make the processes. What fails leaves nothing of the container. */
  async finish(container: Lifecycle, monitor: Monitor): Promise<void> {
    const criu = monitor.pid
    try {
      await this.#finish(container, monitor)
    } catch (error) {
      await monitor.kill(constants.signals.SIGKILL, { all: true }).catch(() => undefined)
      const ending = await monitor.exited.catch(() => undefined)
      // What ends by itself as soon as it goes on takes CRIU along, before that has said its last word.
      if (monitor.pid !== criu && ending !== undefined && ending.signal !== constants.signals.SIGKILL) {
        container.tell('restore')
        return
      }
      monitor.close()
      throw error
    }
    container.tell('restore')
  }

  async #finish(container: Lifecycle, monitor: Monitor): Promise<void> {
    const { context, paths, record, spec } = container
    const { directory, description } = this.#source
    const criu = monitor.pid
    const root = context.driver.rootPath(record.id)
    const mounts = mountsOf(paths.runDirectory)
    const images = join(directory, FILES.images)
    const what = this.#what
    await checkFilters(what, images, spec)
    await resume(monitor, {
      what,
      channel: this.#channel,
      description,
      images,
      directory: paths.directory,
      root,
      mounts,
      tcpEstablished: this.#tcpEstablished,
      terminal: spec.process?.terminal ?? false,
      inputOnce: record.options.stdinOnce,
      processes: async () => (await processesOf(container)).filter((pid) => pid !== criu),
      inspect: (pids) => inspectRestored({ what, spec, criu, pids, root, mounts }),
    })
  }

  close(): void {
    this.#channel.close()
  }
}

function mountsOf(runDirectory: string): string {
  return `${runDirectory}/restore`
}
