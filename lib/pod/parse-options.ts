/** {@link PodOptions} in one form, or all that is wrong with them at once. Pure. */
import { PodlingError } from '../errors.js'
import type { LinuxResources } from '../cgroup/resources.js'
import { optionKeywords, optionsSchema } from '../container/options-schema.js'
import { gatewayFaults, parseExtraHosts, withoutUndefined } from '../container/parse-options.js'
import { ofNetwork } from '../container/parse-pod.js'
import { podNamespaces, type PodNamespace } from '../container/pod-place.js'
import type { UserNamespaceChoice } from '../container/userns/choice.js'
import { parseUserNamespace } from '../container/userns/parse-userns.js'
import { parseSize } from '../schema/quantities.js'
import { checkSysctls } from '../container/sysctls.js'
import { parseNetworkMode, type DefaultNetwork, type NetworkMode } from '../network/mode.js'
import { faultFinder, formatFaults, show, type Fault } from '../schema/faults.js'
import type { PodOptions } from './options.js'

export interface NormalizedPodOptions {
  readonly name: string | undefined
  readonly hostname: string | undefined
  readonly share: readonly PodNamespace[]
  readonly exitPolicy: 'continue' | 'stop'
  readonly detach: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly network: NetworkMode
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[]
  readonly hostGateway?: false
  readonly dns: readonly string[]
  readonly dnsSearch: readonly string[]
  readonly dnsOptions: readonly string[]
  readonly resources: LinuxResources
  readonly sysctls: Readonly<Record<string, string>>
  /** Bytes. */
  readonly shmSize: number | undefined
  readonly userns: UserNamespaceChoice | undefined
}

const {
  name, hostname, labels, network, ports, networkAliases, ip, ip6, mac, extraHosts, hostGateway, dns, dnsSearch, dnsOptions, memory, cpus, cpuset,
  pidsLimit, sysctls, shmSize, userns, uidMap, gidMap, detach,
} = optionsSchema.properties // prettier-ignore

const schema = {
  type: 'object',
  member: 'option',
  additionalProperties: false,
  properties: {
    name, hostname, labels, network, ports, networkAliases, ip, ip6, mac, extraHosts, hostGateway, dns, dnsSearch, dnsOptions, memory, cpus, cpuset,
    pidsLimit, sysctls, shmSize, userns, uidMap, gidMap, detach,
    share: { type: 'array', items: { enum: [...podNamespaces] } },
    exitPolicy: { enum: ['continue', 'stop'] },
  },
} as const // prettier-ignore

const findFaults = faultFinder(schema, optionKeywords)

/** @throws PodlingError `INVALID_OPTION` with all mistakes, each with its path */
export function parsePodOptions(options: PodOptions, defaultNetwork: DefaultNetwork): NormalizedPodOptions {
  if (typeof options !== 'object' || (options as unknown) === null || Array.isArray(options)) {
    throw new PodlingError('INVALID_OPTION', `pod options: must be an object, got ${show(options)}`)
  }
  const given = withoutUndefined(options) as PodOptions
  const faults: Fault[] = findFaults(given)
  const wrong = new Set(faults.map(({ path }) => path.split(/[.[]/)[0] ?? ''))
  const sound = Object.fromEntries(Object.entries(given).filter(([key]) => !wrong.has(key))) as PodOptions
  const share: readonly PodNamespace[] = podNamespaces.filter((one) =>
    (sound.share ?? ['net', 'ipc', 'uts']).includes(one),
  )
  const shares = { network: share.includes('net'), hosts: parseExtraHosts(sound.extraHosts, faults) }
  const users = parseUserNamespace(sound, faults)
  const mode = networkOf(sound, shares.network, defaultNetwork, faults)
  faults.push(...unshared(sound, share), ...gatewayFaults(sound, shares.hosts, mode))
  // Those of namespaces that it has; whether they are the host's is asked in the same words as of a container.
  faults.push(...checkSysctls({ image: 'none', ...pick(sound, ['sysctls', 'network']) }))
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('pod options', faults))
  return {
    name: sound.name,
    hostname: sound.hostname,
    share,
    exitPolicy: sound.exitPolicy ?? 'continue',
    detach: sound.detach ?? false,
    labels: sound.labels ?? {},
    network: mode,
    extraHosts: shares.hosts,
    ...(sound.hostGateway === false ? { hostGateway: false } : {}),
    dns: sound.dns ?? [],
    dnsSearch: sound.dnsSearch ?? [],
    dnsOptions: sound.dnsOptions ?? [],
    resources: podResources(sound),
    shmSize: parseSize(sound.shmSize),
    userns: users,
    sysctls: Object.fromEntries(Object.entries(sound.sysctls ?? {}).map(([key, value]) => [key, String(value)])),
  }
}

function networkOf(options: PodOptions, shared: boolean, defaultNetwork: DefaultNetwork, faults: Fault[]): NetworkMode {
  // Nobody would be on it.
  if (!shared) return 'none'
  if (options.network === 'pod') {
    faults.push({ path: 'network', message: "must not be 'pod': this is the pod" })
    return 'none'
  }
  const { mode, faults: wrong } = parseNetworkMode(options, defaultNetwork)
  faults.push(...wrong)
  return mode
}

/** What has no effect, as it is of something that the pod doesn't share. */
function unshared(options: PodOptions, share: readonly PodNamespace[]): Fault[] {
  const message = (name: PodNamespace): string => `has no effect in a pod that doesn't share ${name}`
  const faults: Fault[] = []
  if (!share.includes('net')) {
    for (const path of ['network', ...ofNetwork] as const)
      if (options[path] !== undefined) faults.push({ path, message: message('net') })
  }
  if (!share.includes('ipc') && options.shmSize !== undefined) faults.push({ path: 'shmSize', message: message('ipc') })
  if (!share.includes('uts') && options.hostname !== undefined)
    faults.push({ path: 'hostname', message: message('uts') })
  return faults
}

function podResources({ memory, cpus, cpuset, pidsLimit }: PodOptions): LinuxResources {
  const limit = parseSize(memory)
  const period = 100_000
  return {
    ...(limit === undefined ? {} : { memory: { limit, swap: limit * 2 } }),
    ...(cpus === undefined && cpuset === undefined
      ? {}
      : {
          cpu: {
            ...(cpus === undefined ? {} : { quota: Math.round(cpus * period), period }),
            ...(cpuset === undefined ? {} : { cpus: cpuset }),
          },
        }),
    ...(pidsLimit === undefined || pidsLimit <= 0 ? {} : { pids: { limit: pidsLimit } }),
  }
}

function pick<T, K extends keyof T>(value: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.flatMap((key) => (value[key] === undefined ? [] : [[key, value[key]]]))) as Pick<T, K>
}
