/** What records say of pods: of a container that it is in one, of the holder of a pod that it is one. Pure. */
import type { LinuxResources } from '../cgroup/resources.js'
import type { KeptUser } from './userns/choice.js'

/** What the containers of a pod can share, in the words of podman-pod-create(1). */
export type PodNamespace = 'net' | 'ipc' | 'uts' | 'pid' | 'cgroup'

export const podNamespaces: readonly PodNamespace[] = ['net', 'ipc', 'uts', 'pid', 'cgroup']

/** The same in the words of the OCI runtime spec. */
export const namespaceTypes = { net: 'network', ipc: 'ipc', uts: 'uts', pid: 'pid', cgroup: 'cgroup' } as const

/** What another container of the pod must have come to before one starts. */
export type DependencyCondition = 'started' | 'completed' | 'healthy'

export interface Dependency {
  /** The name or id of a container of the same pod. */
  readonly container: string
  readonly condition: DependencyCondition
}

/** `'once'`: it runs at the first start of the pod, and is removed then. `'always'`: at each one. */
export type InitContainer = 'once' | 'always'

/** A container's place in a pod. */
export interface PodPlace {
  readonly id: string
  /** What it shares: all that the pod does, but for what it has of its own. */
  readonly share: readonly PodNamespace[]
  readonly dependsOn: readonly Dependency[]
  readonly initContainer?: InitContainer
}

/** What the record of a pod's holder says beside what that of a container does. */
export interface HeldPod {
  readonly share: readonly PodNamespace[]
  readonly exitPolicy: 'continue' | 'stop'
  /** Limits of all of it together. */
  readonly resources: LinuxResources
  /** Who the user of this process is in its containers, by `userns: 'keep-id'`. */
  readonly kept?: KeptUser
  /** It is being removed: nobody may be made or started in it any more. */
  readonly removing?: true
}

/** Where a container's cgroup is, as `Cgroups` names it: that of a pod has no processes of its own, but those below it. */
export function cgroupOf({
  id,
  pod,
  holds,
}: {
  readonly id: string
  readonly pod?: PodPlace
  readonly holds?: HeldPod
}): string {
  if (holds !== undefined) return `${id}/holder`
  return pod === undefined ? id : `${pod.id}/${id}`
}
