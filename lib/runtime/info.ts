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
  readonly kernel: { readonly release: string; readonly features: KernelFeatures }
}

export async function runtimeInfo(
  paths: RuntimePaths,
  storage: RuntimeStorage,
  quotas: Quotas,
  cgroups: Cgroups,
  facts: HostFacts,
): Promise<RuntimeInfo> {
  return {
    version: packageVersion(),
    root: paths.root,
    runRoot: paths.runRoot,
    storageDriver: storage.driver.name,
    storageDrivers: await storage.survey(),
    quotas: quotas.report(),
    cgroup: { mode: cgroups.mode, parent: `/${paths.cgroupParent}`, controllers: cgroups.controllers },
    kernel: { release: release(), features: kernelFeatures(facts) },
  }
}

/** Asked of the package by its own name, so that it is found wherever this file was built to. */
function packageVersion(): string {
  const { version } = createRequire(import.meta.url)('podling/package.json') as { version: string }
  return version
}
