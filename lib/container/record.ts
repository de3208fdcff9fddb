import type { Spec } from '../launch/oci-spec.js'
import type { PlanAccount } from '../launch/operation.js'
import type { Table } from '../storage/database.js'
import type { QuotaLimits } from '../storage/quotas/quotas.js'
import type { HealthSettings } from './health/parse-health.js'
import type { VolumeClaim } from '../storage/volumes/volume-records.js'
import type { ApparmorState } from './labels/choose-apparmor.js'
import type { MountedImageUse, MountUse } from './mount-request.js'
import type { ContainerOptions } from './options.js'
import type { NormalizedOptions } from './normalized-options.js'
import type { OwnConfig } from './own-config.js'
import type { HeldPod, PodPlace } from './pod-place.js'
import type { RestartPolicy } from './restart-policy.js'
import type { UserNamespaceChoice } from './userns/choice.js'

/** The options that matter after the creation; all others are in the spec. */
export type StoredOptions = Pick<
  NormalizedOptions,
  | 'labels'
  | 'detach'
  | 'init'
  | 'log'
  | 'stopTimeout'
  | 'network'
  | 'extraHosts'
  | 'hostGateway'
  | 'dns'
  | 'dnsSearch'
  | 'dnsOptions'
  | 'stdin'
  | 'stdinOnce'
> & {
  /** Of its root. */
  readonly quota?: QuotaLimits
  /** A signal's number. */
  readonly stopSignal: number
  /** Absent: never. */
  readonly restart?: RestartPolicy
  /** Absent: nobody checks it. */
  readonly health?: HealthSettings
  /** Absent: it has none of its own. Its maps are in the spec. */
  readonly userns?: UserNamespaceChoice['mode']
}

/** The options of a container as they were given, but for those that matter while it is made alone. */
export type GivenOptions = Omit<ContainerOptions, 'image' | 'ready'>

/** What the database keeps of a container: all that was decided, nothing that the kernel knows better. */
export interface ContainerRecord {
  readonly id: string
  readonly name: string
  /** The runtime instance that made it; its lock tells whether that host lives. */
  readonly owner: string
  readonly createdAt: number
  readonly image?: { readonly id: string; readonly name: string }
  readonly chainId?: string
  readonly options: StoredOptions
  /** @default nothing */
  readonly own?: OwnConfig
  /** The id of the container whose user namespace it is in. @default none */
  readonly usersOf?: string
  /** Whom its own databases of users are to know. @default nobody */
  readonly account?: PlanAccount
  /** A detached one that is being restored from a checkpoint: until that is done it ends with its host, as one that is bound. */
  readonly restoring?: boolean
  /** As its maker gave them; records of older versions have none. */
  readonly given?: GivenOptions
  /** What the spec can't say of its mounts. */
  readonly mounts?: readonly MountUse[]
  /** Without its seccomp rules. */
  readonly spec: Spec
  /** Absent: there was no AppArmor when it was made. */
  readonly apparmor?: ApparmorState
  /** The pod that it is in. */
  readonly pod?: PodPlace
  /** It is no container, but the process that holds the namespaces of a pod. */
  readonly holds?: HeldPod
  /** The key of the rules in the {@link SeccompStore}. */
  readonly seccomp?: string
}

/** Where a container's files are. */
export interface ContainerPaths {
  /**
   * Kept across reboots: the log, how a detached container ended, and the files of /etc. Those it may write, and as much as it
   * may write to its root: on the same disk, and not in memory that it would share with the host.
   */
  readonly directory: string
  readonly log: string
  /** Gone with a reboot, and mostly in memory: what each start makes anew. */
  readonly runDirectory: string
  readonly exitFile: string
  /** How healthy it is, or was. */
  readonly healthFile: string
  /** Written anew by each start, like the two that follow. */
  readonly hosts: string
  readonly resolvConf: string
  readonly hostname: string
  /** What it has of networks, while it runs. */
  readonly network: string
  readonly socket: string
  readonly lock: string
}

/** @param detached how it ended is then asked for after a reboot, too */
export function containerPaths(root: string, runRoot: string, id: string, detached: boolean): ContainerPaths {
  const directory = `${root}/containers/${id}`
  const runDirectory = `${runRoot}/c/${runName(id)}`
  return {
    directory,
    log: `${directory}/ctr.log`,
    runDirectory,
    exitFile: `${detached ? directory : runDirectory}/exit`,
    healthFile: `${detached ? directory : runDirectory}/health`,
    hosts: `${directory}/hosts`,
    resolvConf: `${directory}/resolv.conf`,
    hostname: `${directory}/hostname`,
    network: `${runDirectory}/network.json`,
    socket: `${runDirectory}/monitor.sock`,
    lock: `${runDirectory}/lock`,
  }
}

/** Half an id is unique enough, and keeps the path of the monitor's socket below the 108 bytes of sockaddr_un (unix(7)). */
export function runName(id: string): string {
  return id.slice(0, 32)
}

/** The images that a container has mounted. */
export function imagesOf({ mounts = [] }: ContainerRecord): MountedImageUse[] {
  return mounts.flatMap(({ image }) => (image === undefined ? [] : [image]))
}

/** The image that it was made of, and those that it has mounted. */
export function usedImages(record: ContainerRecord): { readonly id: string; readonly chainId?: string | undefined }[] {
  const { image, chainId } = record
  return [...(image === undefined ? [] : [{ id: image.id, chainId }]), ...imagesOf(record)]
}

/** The volumes of a container, each once. */
export function volumesOf({ mounts = [] }: ContainerRecord): VolumeClaim[] {
  return [...new Map(mounts.flatMap(({ volume }) => (volume === undefined ? [] : [[volume.name, volume]]))).values()]
}

/** The names of the containers that were made from an image, or have it mounted. */
export function containersOf(records: Table<ContainerRecord>, imageId: string): string[] {
  return [...records.entries()]
    .filter(([, record]) => record.image?.id === imageId || imagesOf(record).some(({ id }) => id === imageId))
    .map(([, { name }]) => name)
}
