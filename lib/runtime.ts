import { EventEmitter } from 'eventemitter3'
import type { Registry } from 'prom-client'
import type { Container } from './container/container.js'
import type { Containers, ContainerEvent, StartReport } from './container/containers.js'
import type { ContainerOptions } from './container/options.js'
import { defaultCdiDirectories } from './container/cdi/find-cdi.js'
import type { RecoveryReport } from './container/recover.js'
import type { StatsStreamOptions } from './container/stats/follow.js'
import type { ContainerStats } from './container/stats/stats.js'
import { PodlingError } from './errors.js'
import type { RuntimeEvent } from './event/event.js'
import { checkEventOptions, type EventOptions } from './event/event-options.js'
import { readEvents } from './event/read-events.js'
import { searchAlong } from './image/from-host/host-image.js'
import { checkRoot } from './runtime/check.js'
import { ImagePolicy } from './image/policy/image-policy.js'
import { openParts, type RuntimeParts } from './runtime/parts.js'
import type { RuntimeInfo } from './runtime/info.js'
import { layerRules, type LayerOptions } from './runtime/layer-rules.js'
import { metricsRegistry } from './runtime/metrics/registry.js'
import { serveMetrics, type MetricsServer, type ServeMetricsOptions } from './runtime/metrics/serve.js'
import { prune, type PruneOptions, type PruneReport } from './runtime/prune.js'
import { policyFiles, type ImagePolicyOptions } from './runtime/policy-files.js'
import { runtimePaths } from './runtime/paths.js'
import { subIdSource, type SubIdOptions } from './runtime/sub-ids.js'
import { userDefaults } from './runtime/user-paths.js'
import type { Networks } from './network/networks.js'
import type { Pods } from './pod/pods.js'
import type { CheckOptions, CheckReport } from './storage/check/report.js'
import type { DriverChoice } from './storage/drivers/choose.js'
import type { ImageEvent } from './storage/images-parts.js'
import type { Images } from './storage/images.js'
import type { VolumeDriver } from './storage/volumes/driver.js'
import type { Volumes } from './storage/volumes/volumes.js'
import { checkKnown } from './schema/known-options.js'
import { checkHost, isPrivileged } from './sys/kernel.js'
import { probeHost } from './sys/probe.js'
import { settleAll } from './teardown.js'

export interface RuntimeOptions {
  /**
   * The directory of all that lasts: images, containers, the database.
   * @default '/var/lib/podling'; of an ordinary user `podling` in $XDG_DATA_HOME or ~/.local/share
   */
  readonly root?: string
  /**
   * The directory of sockets and locks.
   * @default `run` in a `root` that was given; else '/run/podling', of an ordinary user `podling` in $XDG_RUNTIME_DIR or
   * /run/user/UID, and where there is none '/tmp/podling-run-UID'
   */
  readonly runRoot?: string
  /**
   * How the roots of containers are put together. A root keeps the driver that it was made with, for good; `auto` takes
   * that, and for a new root the first that works of `overlay`, which starts a container fastest, `fuse-overlayfs` and
   * `vfs`. `erofs`, which pulls an image fastest, is for who asks for it. `info()` tells what works here and why.
   * @default 'auto'
   */
  readonly storageDriver?: DriverChoice
  /** How the layers of images that come from elsewhere are taken. */
  readonly layers?: LayerOptions
  /** Which images may come in, and from where. @default the machine's own rules, those of Podman */
  readonly imagePolicy?: ImagePolicyOptions
  /** Further drivers of volumes, by the name that `volumes.create({ driver })` gives. @default `local` alone */
  readonly volumeDrivers?: Readonly<Record<string, VolumeDriver>>
  /** Where files of the Container Device Interface are, the later the stronger. @default ['/etc/cdi', '/var/run/cdi'] */
  readonly cdiSpecDirs?: readonly string[]
  /** Where the ids of containers with `userns: 'auto'` come from. @default those that the machine gives the user `containers` */
  readonly subIds?: SubIdOptions
}

export interface RunOptions {
  /** Give up waiting for it to be ready; the container is removed then. */
  readonly signal?: AbortSignal
}

/** Which containers {@link Runtime.start} starts. */
export interface StartOptions {
  /** Those whose restart policy wants it after a reboot. */
  readonly restartPolicy: true
}

export interface RuntimeEvents {
  /** Something happened to a container that this runtime has a handle of. */
  container: [ContainerEvent]
  /** Something happened to an image, by this runtime's doing. */
  image: [ImageEvent]
}

/**
 * A container runtime in this process, on a directory of state that it shares with whoever else has it open.
 *
 * Containers are bound to the process that started them unless they are detached: whatever ends it, they are gone within a
 * second.
 *
 * @example
 * await using runtime = await Runtime.open()
 * await using web = await runtime.run({ image: 'localhost:5000/app:1', command: ['node', 'server.js'], ports: ['8080:80'] })
 */
export class Runtime extends EventEmitter<RuntimeEvents> implements AsyncDisposable {
  /** The images of this root. */
  readonly images: Images
  /** The networks of this root. */
  readonly networks: Networks
  /** The volumes of this root. */
  readonly volumes: Volumes
  /** The containers of this root. */
  readonly containers: Containers
  /** The pods of this root. */
  readonly pods: Pods
  /** What {@link Runtime.open} found left behind by hosts that died, and removed. */
  readonly recovered: RecoveryReport
  readonly #parts: RuntimeParts
  #closed: Promise<void> | undefined
  #registry: Registry | undefined

  private constructor(parts: RuntimeParts) {
    super()
    this.#parts = parts
    this.images = parts.images
    this.networks = parts.networks
    this.volumes = parts.volumes
    this.containers = parts.containers
    this.pods = parts.pods
    this.recovered = parts.recovered
    this.containers.on('container', (event) => this.emit('container', event))
    parts.imageEvents.on('image', (event) => this.emit('image', event))
  }

  /**
   * Open a root, made if it isn't there, and clean up what dead hosts left on it.
   * @throws PodlingError `PLATFORM_UNSUPPORTED`, `KERNEL_UNSUPPORTED`, `PERMISSION_DENIED`, `INVALID_OPTION`, `STATE_INVALID`,
   * `DRIVER_MISMATCH`, `DRIVER_UNSUPPORTED`
   */
  static async open(options: RuntimeOptions = {}): Promise<Runtime> {
    const facts = await probeHost()
    checkHost(facts)
    const programs = searchAlong(process.env['PATH'])
    return new Runtime(
      await openParts({
        paths: runtimePaths(options, isPrivileged(facts) ? undefined : () => userDefaults(process.env, facts.euid)),
        layers: layerRules(options.layers ?? {}),
        policy: new ImagePolicy(policyFiles(options.imagePolicy ?? {})),
        storageDriver: options.storageDriver ?? 'auto',
        facts,
        programs,
        volumeDrivers: options.volumeDrivers ?? {},
        cdiSpecDirs: options.cdiSpecDirs ?? defaultCdiDirectories,
        subIds: subIdSource(options.subIds ?? {}),
      }),
    )
  }

  /**
   * Make a container and start it.
   * @throws PodlingError as {@link Containers.create} and {@link Container.start}; nothing of the container is left then
   */
  async run(options: ContainerOptions, { signal }: RunOptions = {}): Promise<Container> {
    return this.containers.run(options, signal === undefined ? {} : { signal })
  }

  /**
   * All that can be counted of this root, as a registry of prom-client: its `metrics()` is the text that Prometheus reads,
   * and `Registry.merge` joins it with one's own. It reads all anew each time that it is asked. How long starts took it
   * knows of this process alone.
   */
  metrics(): Registry {
    this.#parts.gate.pass('make the metrics')
    this.#registry ??= metricsRegistry(this, this.#parts.context.startTimes)
    return this.#registry
  }

  /**
   * Serve {@link metrics} over HTTP, at `/metrics`, until it is closed or this runtime is.
   * @throws PodlingError `INVALID_OPTION`, `PORT_IN_USE`
   */
  async serveMetrics(options: ServeMetricsOptions = {}): Promise<MetricsServer> {
    return serveMetrics(this.metrics(), options, this.#parts.gate.closed)
  }

  /** What all containers use that run: {@link Containers.stats}. */
  stats(): Promise<ContainerStats[]>
  stats(options: StatsStreamOptions): AsyncGenerator<ContainerStats[]>
  stats(options?: StatsStreamOptions): Promise<ContainerStats[]> | AsyncGenerator<ContainerStats[]> {
    return options === undefined ? this.containers.stats() : this.containers.stats(options)
  }

  /**
   * After a reboot: start the detached containers of this root that ran before and whose restart policy wants it: `always`,
   * and `unless-stopped` of what nobody had stopped (`podman start --all --filter should-start-on-boot=true`). Those that
   * run are left as they are.
   * @throws PodlingError `INVALID_OPTION`; what could not be started is in the report
   */
  async start(options: StartOptions): Promise<StartReport> {
    this.#parts.gate.pass('start containers')
    checkKnown('start containers', options, { restartPolicy: true })
    const { restartPolicy }: { readonly restartPolicy?: unknown } = options
    if (restartPolicy === true) return this.containers.startOnBoot()
    throw new PodlingError('INVALID_OPTION', 'start containers: restartPolicy: must be true')
  }

  /** Versions, drivers, and what this machine's kernel can do. */
  info(): Promise<RuntimeInfo> {
    return this.#parts.info()
  }

  /**
   * Remove what nobody uses: pods and containers that have ended, images without a name, and as `options` say.
   * What somebody begins to use meanwhile stays.
   * @throws PodlingError `INVALID_OPTION`
   */
  async prune(options: PruneOptions = {}): Promise<PruneReport> {
    this.#parts.gate.pass('prune')
    return prune(this.#parts.context, this.containers, this.pods, options)
  }

  /**
   * Check that all in this root fits together: every blob and every layer is what its digest says, nothing that is needed
   * is missing, and nothing is there that isn't needed. Reads all of it; images can't come or go meanwhile.
   * @throws PodlingError `INVALID_OPTION`, `ABORTED`
   */
  async check(options: CheckOptions = {}): Promise<CheckReport> {
    this.#parts.gate.pass('check the root')
    return checkRoot(this.#parts.context, options)
  }

  /**
   * What happens on this root, by any process, oldest first: containers, images, volumes, networks and pods. The newest
   * are kept, 4 MiB to 8 MiB of them. What comes behind this call is given, however late the iteration begins.
   * @throws PodlingError `INVALID_OPTION`
   * @example
   * for await (const { action, name } of runtime.events({ filters: { type: 'container' } })) console.log(action, name)
   */
  events(options: EventOptions = {}): AsyncGenerator<RuntimeEvent, void, undefined> {
    const { gate, journal } = this.#parts
    gate.pass('read the events')
    checkEventOptions(options)
    const whole = options.since !== undefined || options.follow === false
    return readEvents(journal.paths, options, whole ? undefined : journal.end(), gate.closed)
  }

  /** End and remove the bound containers of this process, and let go of the root. Closing twice is closing once. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const { gate, containers, pods, teardown } = this.#parts
    gate.close()
    await settleAll('close the runtime', [
      pods
        .close()
        .finally(() => containers.close())
        .finally(() => teardown.run('close the parts of the runtime')),
    ])
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
