/** What of a container's options is written down, as it is to be at every start. */
import { PodlingError } from '../errors.js'
import { settleHealth, type HealthSettings } from './health/parse-health.js'
import type { Image } from './context.js'
import type { NormalizedOptions } from './normalized-options.js'
import type { ContainerOptions } from './options.js'
import type { ContainerRecord, GivenOptions, StoredOptions } from './record.js'
import { signalNumber } from './signals.js'

export function storedOptions(options: NormalizedOptions, image: Image): StoredOptions {
  const { labels, detach, init, log, stopTimeout, network, extraHosts, dns, dnsSearch, dnsOptions, restart } = options
  const { stdin, stdinOnce } = options
  const health = healthOf(options, image)
  const stopSignal = options.stopSignal ?? signalNumber(image.config.stopSignal ?? 'SIGTERM')
  return {
    labels: { ...image.config.labels, ...labels },
    detach,
    init,
    log,
    stopTimeout,
    network,
    extraHosts,
    ...(options.hostGateway === undefined ? {} : { hostGateway: options.hostGateway }),
    dns,
    dnsSearch,
    dnsOptions,
    stdin,
    stdinOnce,
    stopSignal,
    ...(restart === undefined ? {} : { restart }),
    ...(options.quota === undefined ? {} : { quota: options.quota }),
    ...(health === undefined ? {} : { health }),
    ...(options.userns === undefined ? {} : { userns: options.userns.mode }),
  }
}

function healthOf({ health, ready }: NormalizedOptions, { config }: Image): HealthSettings | undefined {
  const settled = settleHealth(health, config)
  if (settled !== undefined || !ready.some(({ kind }) => kind === 'healthy')) return settled
  throw new PodlingError(
    'INVALID_OPTION',
    'container options: ready: healthy waits for ever without a health check; add health',
  )
}

/** What can be written down of the options, and means something later. */
export function givenOptions({ image: _, ready: __, ...rest }: ContainerOptions): GivenOptions {
  return rest
}

export function podPlace({ pod }: NormalizedOptions): Pick<ContainerRecord, 'pod'> {
  if (pod === undefined) return {}
  const { id, share, dependsOn, initContainer } = pod
  return { pod: { id, share, dependsOn, ...(initContainer === undefined ? {} : { initContainer }) } }
}
