import { createRequire } from 'node:module'
import { release } from 'node:os'
import type { Cgroups } from '../cgroup/cgroups.js'
import type { RuntimePaths } from './paths.js'
import type { RuntimeStorage } from './storage.js'
import type { DriverName } from '../storage/drivers/driver.js'
import type { DriverReport } from '../storage/drivers/survey.js'
import type { QuotaReport, Quotas } from '../storage/quotas/quotas.js'
import { kernelFeatures, type HostFacts, type KernelFeatures } from '../sys/kernel.js'

/** What a runtime works with on this machine. */
export interface RuntimeInfo {
  /** Podling's own version. */
  readonly version: string
  /** The directory of all that lasts. */
  readonly root: string
  /** The directory of sockets and locks. */
  readonly runRoot: string
  /** The driver that this root was made with, and is worked on with. */
  readonly storageDriver: DriverName
  /** All drivers, whether each works on this machine, and why. */
  readonly storageDrivers: readonly DriverReport[]
  /** Whether containers and volumes can be given quotas (`storageOpt`, `options.size`) on this root's file system. */
  readonly quotas: QuotaReport
  readonly cgroup: {
    /** The layout of this machine's hierarchies. */
    readonly mode: Cgroups['mode']
    /** The cgroup below which containers have theirs. */
    readonly parent: string
    /** Limits of these can be set. */
    readonly controllers: readonly string[]
  }
  /** The user namespace that containers are in; absent where that is the machine's first one. */
  readonly userNamespace?: UserNamespaceInfo
  readonly kernel: { readonly release: string; readonly features: KernelFeatures }
}

/** What a user namespace holds. */
export interface UserNamespaceInfo {
  /** How many users and groups an image's files and a container's processes may belong to, from 0 on. */
  readonly uids: number
  readonly gids: number
  /** What can't work for want of more, each with its remedy. */
  readonly warnings: readonly string[]
}

export async function runtimeInfo(
  paths: RuntimePaths,
  storage: RuntimeStorage,
  quotas: Quotas,
  cgroups: Cgroups,
  facts: HostFacts,
  userNamespace: UserNamespaceInfo | undefined,
): Promise<RuntimeInfo> {
  return {
    version: packageVersion(),
    root: paths.root,
    runRoot: paths.runRoot,
    storageDriver: storage.driver.name,
    storageDrivers: await storage.survey(),
    quotas: quotas.report(),
    cgroup: { mode: cgroups.mode, parent: `/${paths.cgroupParent}`, controllers: cgroups.controllers },
    ...(userNamespace === undefined ? {} : { userNamespace }),
    kernel: { release: release(), features: kernelFeatures(facts) },
  }
}

/** Asked of the package by its own name, so that it is found wherever this file was built to. */
function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('podling/package.json') as { version: string }
  return version
}
