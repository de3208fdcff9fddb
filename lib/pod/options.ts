import type { PodNamespace } from '../container/pod-place.js'
import type { ContainerOptions } from '../container/options.js'
import type { IdMappingOption, UserNamespaceOption } from '../container/userns/options.js'
import type { Duration } from '../schema/quantities.js'

/** What a pod is to be: the words of podman-pod-create(1)'s flags in camelCase. All may be left out. */
export interface PodOptions extends Pick<
  ContainerOptions,
  | 'labels'
  | 'network'
  | 'ports'
  | 'networkAliases'
  | 'ip'
  | 'ip6'
  | 'mac'
  | 'extraHosts'
  | 'hostGateway'
  | 'dns'
  | 'dnsSearch'
  | 'dnsOptions'
  | 'memory'
  | 'cpus'
  | 'cpuset'
  | 'pidsLimit'
  | 'sysctls'
  | 'shmSize'
> {
  /**
   * Unique among the pods and containers of the runtime's root (`--name`). By this name others on its networks find it.
   * @default two random words
   */
  readonly name?: string
  /** Of all its containers (`--hostname`). @default the pod's name */
  readonly hostname?: string
  /**
   * What its containers share (`--share`): `'net'` the network, and so localhost and the ports; `'ipc'` also /dev/shm;
   * `'uts'` the host name; `'pid'` they see each other's processes; `'cgroup'` their view of the cgroups.
   * @default ['net', 'ipc', 'uts']
   */
  readonly share?: readonly PodNamespace[]
  /**
   * Who the users of all its containers are on the host (`--userns`), in the words of {@link ContainerOptions.userns}. The namespaces
   * that they share belong to it as well: their root may configure those, as the pod's network, and has no rights over the host.
   * With any network but `'slirp4netns'`. `'auto'` without a size has 65536 ids, as it isn't known yet which its images need.
   * @default 'host', or 'private' with `uidMap` or `gidMap`
   */
  readonly userns?: string | UserNamespaceOption
  /** As of a container (`--uidmap`). @default as `gidMap`, where that is given */
  readonly uidMap?: readonly IdMappingOption[]
  /** As of a container (`--gidmap`). @default as `uidMap`, where that is given */
  readonly gidMap?: readonly IdMappingOption[]
  /**
   * What becomes of the pod when its last container has ended (`--exit-policy`): `'stop'`: it is stopped, as long as a
   * process has its runtime open. @default 'continue'
   */
  readonly exitPolicy?: 'continue' | 'stop'
  /**
   * `false`: the pod is bound to the process that starts it, and ends with it and all its containers. `true`: it goes on, and
   * its containers do, too, unless they say otherwise (`--detach`). @default false
   */
  readonly detach?: boolean
}

export interface StopPodOptions {
  /** How long each container has after its stop signal before SIGKILL. @default the `stopTimeout` of each */
  readonly timeout?: Duration
}

export interface RemovePodOptions {
  /** Kill what runs in it first. @default false */
  readonly force?: boolean
}

/** Which pods to list. All that is given must fit. */
export interface PodFilter {
  readonly status?: PodStatus | readonly PodStatus[]
  /** `'key'` or `'key=value'`. */
  readonly label?: string | readonly string[]
  /** A part of the name. */
  readonly name?: string
}

/**
 * Where a pod is in its life, in Podman's words, which count what holds the pod as one of its containers:
 *
 * | status | meaning |
 * |---|---|
 * | `created` | nothing of it has run |
 * | `running` | all of it runs |
 * | `degraded` | some of it runs |
 * | `paused` | all of it is frozen |
 * | `stopped` | nothing runs; some of it never did |
 * | `exited` | all of it has ended |
 * | `removed` | nothing is left of it but this handle |
 */
export type PodStatus = 'created' | 'running' | 'degraded' | 'paused' | 'stopped' | 'exited' | 'removed'
