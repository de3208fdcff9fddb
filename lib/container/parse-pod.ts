/** What a container's options say of its pod, and what of them is the pod's to say. Pure. */
import { show, type Fault } from '../schema/faults.js'
import type { NetworkMode } from '../network/mode.js'
import type { ContainerOptions, DependencyOption } from './options.js'
import type { Dependency, InitContainer, PodNamespace } from './pod-place.js'
import { parseSize } from '../schema/quantities.js'
import type { UserNamespaceChoice } from './userns/choice.js'

/** What of a pod the options of its containers depend on. */
export interface PodFacts {
  readonly id: string
  readonly name: string
  readonly share: readonly PodNamespace[]
  readonly network: NetworkMode
  readonly hostname: string
  readonly detach: boolean
  /** Absent: it has no user namespace of its own. */
  readonly userns?: UserNamespaceChoice['mode']
  /** Bytes. */
  readonly memory?: number | undefined
  readonly cpus?: number | undefined
  readonly pidsLimit?: number | undefined
}

/** A container's pod in one form. */
export interface PodChoice {
  readonly id: string
  readonly hostname: string
  readonly share: readonly PodNamespace[]
  readonly dependsOn: readonly Dependency[]
  readonly initContainer: InitContainer | undefined
}

/** Options of the network as a whole, which is the pod's. */
export const ofNetwork = [
  'ports',
  'networkAliases',
  'ip',
  'ip6',
  'mac',
  'extraHosts',
  'hostGateway',
  'dns',
  'dnsSearch',
  'dnsOptions',
] as const satisfies readonly (keyof ContainerOptions)[]

/** @param options without those that are misshapen */
export function parsePod(
  options: ContainerOptions,
  pod: PodFacts | undefined,
  faults: Fault[],
): { readonly choice: PodChoice | undefined; readonly network: NetworkMode | undefined } {
  if (pod === undefined) {
    for (const path of ['dependsOn', 'initContainer'] as const) {
      if (options[path] !== undefined) faults.push({ path, message: 'has no effect without pod' })
    }
    if (options.network === 'pod' && options.pod === undefined)
      faults.push({ path: 'network', message: "must name a pod beside it with network: 'pod'" })
    return { choice: undefined, network: undefined }
  }
  if (options.detach === true && !pod.detach) {
    faults.push({ path: 'detach', message: `must not be true, as pod ${pod.name} ends with its host` })
  }
  if (options.initContainer !== undefined && (options.restart ?? 'no') !== 'no')
    faults.push({ path: 'restart', message: "must be 'no' for an init container, for whose end the others wait" })
  faults.push(...limitFaults(options, pod))
  if (options.shmSize !== undefined && options.ipc === undefined && pod.share.includes('ipc')) {
    faults.push({
      path: 'shmSize',
      message: `belongs to pod ${pod.name}, which shares its /dev/shm; give it to pods.create`,
    })
  }
  const own: Readonly<Record<PodNamespace, boolean>> = {
    net: !sharesNetwork(options, pod, faults),
    ipc: options.ipc !== undefined,
    uts: !sharesHostname(options, pod, faults),
    pid: options.pidns !== undefined,
    cgroup: false,
  }
  const share = pod.share.filter((name) => !own[name])
  const network: NetworkMode | undefined = own.net ? undefined : pod.network === 'host' ? 'host' : { kind: 'pod' }
  return {
    choice: {
      id: pod.id,
      hostname: pod.hostname,
      // Of the host's network there is nothing to join.
      share: network === 'host' ? share.filter((name) => name !== 'net') : share,
      dependsOn: (options.dependsOn ?? []).map(dependency),
      initContainer: options.initContainer,
    },
    network,
  }
}

function dependency(given: DependencyOption): Dependency {
  return typeof given === 'string'
    ? { container: given, condition: 'started' }
    : { container: given.container, condition: given.condition ?? 'started' }
}

function sharesNetwork(options: ContainerOptions, pod: PodFacts, faults: Fault[]): boolean {
  const { network } = options
  if (!pod.share.includes('net')) {
    if (network === 'pod')
      faults.push({ path: 'network', message: `can't be that of pod ${pod.name}, which shares none` })
    return network === 'pod'
  }
  if (network !== undefined && network !== 'pod') {
    faults.push({
      path: 'network',
      message: `must be left out, as pod ${pod.name} shares its own, got ${show(network)}`,
    })
  }
  for (const path of ofNetwork) {
    const value = options[path]
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    faults.push({ path, message: `belongs to pod ${pod.name}, which shares its network; give it to pods.create` })
  }
  const sysctls = Object.keys(options.sysctls ?? {}).filter((key) => key.startsWith('net.'))
  if (sysctls.length > 0)
    faults.push({ path: 'sysctls', message: `${sysctls.join(', ')}: the network is that of pod ${pod.name}` })
  return true
}

function sharesHostname(options: ContainerOptions, pod: PodFacts, faults: Fault[]): boolean {
  if (!pod.share.includes('uts') || options.uts !== undefined) return false
  if (options.hostname !== undefined)
    faults.push({ path: 'hostname', message: `is that of pod ${pod.name}; give it to pods.create, or uts: 'private'` })
  return true
}

/** A limit above the pod's would never be reached; whoever gives one believes otherwise. */
export function limitFaults(
  options: Pick<ContainerOptions, 'memory' | 'cpus' | 'pidsLimit'>,
  pod: Pick<PodFacts, 'name' | 'memory' | 'cpus' | 'pidsLimit'>,
): Fault[] {
  const given = { memory: parseSize(options.memory), cpus: options.cpus, pidsLimit: options.pidsLimit }
  return (['memory', 'cpus', 'pidsLimit'] as const).flatMap((path) => {
    const [own, most] = [given[path], pod[path]]
    if (own === undefined || most === undefined || own <= most) return []
    return [{ path, message: `must not be above that of pod ${pod.name}, ${String(most)}, got ${show(options[path])}` }]
  })
}
