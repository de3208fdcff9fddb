/** What a container has in the place of its image's configuration, for an image that is made of it. Pure. */
import type { ImageConfigInput } from '../image/image-config-input.js'
import type { Healthcheck } from '../image/image-config.js'
import type { HealthRequest } from './health/parse-health.js'
import type { NormalizedOptions } from './normalized-options.js'
import { signalName } from '../sys/signal-name.js'

export interface OwnConfig {
  readonly config: ImageConfigInput
  /** Where something is mounted by its options. */
  readonly targets: readonly string[]
}

/**
 * As podman-commit(1) has it, but for the variables that the runtime itself sets, which belong to no image. Of the mounts
 * the volumes without a name count: what else is mounted is the host's.
 */
export function ownConfig(options: NormalizedOptions): OwnConfig {
  const { entrypoint, command, env, workdir, user, labels, stopSignal, mounts, health } = options
  const anonymous = mounts.filter(({ extras }) => extras?.volume !== undefined && extras.volume.name === undefined)
  const exposedPorts = portsOf(options).map(({ container, protocol }) => ({ port: container, protocol }))
  const ownCommand = command.length > 0 || (entrypoint !== undefined && entrypoint.length > 0)
  return {
    config: {
      ...(entrypoint === undefined ? {} : { entrypoint: entrypoint.filter((word) => word !== '') }),
      ...(ownCommand ? { cmd: command } : {}),
      ...(Object.keys(env).length === 0 ? {} : { env }),
      ...(workdir === undefined ? {} : { workingDir: workdir }),
      ...(user === undefined ? {} : { user }),
      ...(exposedPorts.length === 0 ? {} : { exposedPorts }),
      ...(anonymous.length === 0 ? {} : { volumes: anonymous.map(({ destination }) => destination) }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(stopSignal === undefined ? {} : { stopSignal: signalWord(stopSignal) }),
      ...healthOf(health),
    },
    targets: mounts.map(({ destination }) => destination),
  }
}

/** An image's check is a command: one of a port is nothing that it could say. */
function healthOf(health: HealthRequest | undefined): { healthcheck?: Healthcheck } {
  if (health === undefined) return {}
  if (health === 'none') return { healthcheck: { test: ['NONE'] } }
  const { test, interval, timeout, startPeriod, startInterval, retries } = health
  if (test?.kind !== 'command') return {}
  const details = { interval, timeout, startPeriod, startInterval, retries }
  return {
    healthcheck: {
      test: ['CMD', ...test.argv],
      ...Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined)),
    },
  }
}

/** One without a name goes by its number, as in the image specification's config.md. */
function signalWord(number: number): string {
  const name = signalName(number)
  return /\d$/.test(name) && name.endsWith(String(number)) ? String(number) : name
}

function portsOf({ network }: NormalizedOptions) {
  return typeof network === 'object' && 'ports' in network ? network.ports : []
}
