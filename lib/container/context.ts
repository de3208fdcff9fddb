import type { Cgroups } from '../cgroup/cgroups.js'
import type { EventJournal } from '../event/journal.js'
import type { Gate } from '../gate.js'
import type { Launcher } from '../launch/launcher.js'
import type { DefaultNetwork } from '../network/mode.js'
import type { Networks } from '../network/networks.js'
import type { OpenCopier } from '../storage/copy/copier.js'
import type { Database, Table } from '../storage/database.js'
import type { StorageDriver } from '../storage/drivers/driver.js'
import type { Image } from '../storage/image.js'
import type { Images } from '../storage/images.js'
import type { Layers } from '../storage/layers.js'
import type { Quotas } from '../storage/quotas/quotas.js'
import type { Volumes } from '../storage/volumes/volumes.js'
import type { SubIdFiles } from '../sys/read-sub-ids.js'
import type { Apparmor } from './labels/choose-apparmor.js'
import type { Levels } from './labels/levels.js'
import type { FileDigests } from './checkpoint/file-digests.js'
import type { HostFacts } from './generate-spec.js'
import type { PodLink } from './pod-access.js'
import type { ContainerRecord } from './record.js'
import type { StartTimes } from './start-times.js'
import type { SeccompStore } from './seccomp-store.js'
import type { Sampler } from './stats/sampler.js'
import type { UserIdMaps } from './userns/id-maps.js'

/** What a runtime lends to its containers. */
export interface ContainerContext {
  readonly gate: Gate
  readonly root: string
  readonly runRoot: string
  /** The cgroup below which each container has its own, in every hierarchy. */
  readonly cgroupParent: string
  /** This runtime instance, as records name it. */
  readonly owner: string
  readonly journal: EventJournal
  readonly database: Database
  readonly records: Table<ContainerRecord>
  readonly seccomp: SeccompStore
  /** Container names to ids. */
  readonly names: Table<string>
  /** The ids that containers have to themselves, by the containers' ids. */
  readonly userIds: Table<UserIdMaps>
  /** Where such ids come from. */
  readonly subIds: Required<SubIdFiles> & { readonly owner: string }
  /** Names of containers whose records this process is writing. */
  readonly comingNames: Set<string>
  /** Images that are mounted, by what unmounts them. */
  readonly imageRoots: Set<() => Promise<void>>
  readonly images: Images
  readonly layers: Layers
  readonly driver: StorageDriver
  /** Of containers' roots; holders are their ids. */
  readonly quotas: Quotas
  /** Of containers and pods. */
  readonly levels: Levels
  readonly apparmor: Apparmor
  readonly cgroups: Cgroups
  readonly launcher: Launcher
  readonly openCopier: OpenCopier
  /** The path of a program of the host. */
  readonly findProgram: (name: string) => string | undefined
  readonly networks: Networks
  /** Of containers that name none. */
  readonly defaultNetwork: DefaultNetwork
  readonly volumes: Volumes
  readonly pods: PodLink
  readonly host: HostFacts
  /** Of checkpoints. */
  readonly fileDigests: FileDigests
  readonly startTimes: StartTimes
  readonly sampler: Sampler
  /** Directories of files of the Container Device Interface. */
  readonly cdiSpecDirs: readonly string[]
}

export type { Image }
