/** The storage of a runtime: the driver that its root is worked on with, and the layers in the format of that. */
import type { Confinement } from '../container/confine-spec.js'
import { findHelper } from '../launch/helper-path.js'
import type { Launcher } from '../launch/launcher.js'
import type { Database } from '../storage/database.js'
import { chooseDriver, type DriverChoice } from '../storage/drivers/choose.js'
import type { RootMount, StorageDriver } from '../storage/drivers/driver.js'
import { driverKinds } from '../storage/drivers/kinds.js'
import { surveyDriver, type DriverReport, type SurveyParts } from '../storage/drivers/survey.js'
import type { OpenUnpacker } from '../storage/layer-types.js'
import { Layers } from '../storage/layers.js'
import { fullRights, userRights, type StorageRights } from '../storage/rights.js'
import type { FindProgram } from '../storage/volumes/encrypter.js'
import { Keepers } from '../storage/volumes/keeper.js'
import { isPrivileged, type HostFacts } from '../sys/kernel.js'
import { close, pipe } from '../sys/descriptors.js'
import type { RuntimePaths } from './paths.js'

export interface StorageInputs {
  readonly paths: RuntimePaths
  readonly choice: DriverChoice
  readonly facts: HostFacts
  /** The user namespace that containers are in, where that is not the machine's first. */
  readonly confinement: Confinement | undefined
  readonly database: Database
  readonly launcher: Launcher
  readonly findProgram: FindProgram
}

export interface RuntimeStorage {
  readonly layers: Layers
  readonly driver: StorageDriver
  readonly openUnpacker: OpenUnpacker
  readonly rights: StorageRights
  /** Judge all drivers by trying them, once: an answer costs some milliseconds. */
  survey(): Promise<readonly DriverReport[]>
  close(): Promise<void>
}

/** @throws PodlingError DRIVER_MISMATCH, DRIVER_UNSUPPORTED; nothing is open then */
export async function openStorage(inputs: StorageInputs): Promise<RuntimeStorage> {
  const { paths, choice, facts, database, launcher, findProgram } = inputs
  const { root } = paths
  const keepers = new Keepers(`${paths.runRoot}/k`, findHelper(), keptWithin(facts, launcher))
  await keepers.sweep()
  const openUnpacker = unpackerBy(launcher)
  const rights = rightsOf(inputs, openUnpacker)
  const trials: SurveyParts = {
    facts,
    rights,
    directory: `${root}/layers/tmp`,
    openUnpacker,
    keepers,
    findProgram,
    tryRoot: (mount) => tryRoot(launcher, mount),
  }
  const kind = await chooseDriver(choice, { root, database, survey: (one) => surveyDriver(one, trials) })
  const layers = await Layers.open(`${root}/layers`, database, openUnpacker, kind.format, rights)
  let driver: StorageDriver
  try {
    driver = await kind.open({ directory: `${root}/${kind.name}`, layers, openUnpacker, keepers, findProgram, rights })
  } catch (error) {
    await layers.close()
    throw error
  }
  let reports: Promise<readonly DriverReport[]> | undefined
  return {
    layers,
    driver,
    openUnpacker,
    rights,
    survey() {
      reports ??= Promise.all(driverKinds.map((one) => surveyDriver(one, trials)))
      return reports
    },
    async close() {
      await driver.close()
      await layers.close()
    },
  }
}

function rightsOf({ facts, confinement }: StorageInputs, openUnpacker: OpenUnpacker): StorageRights {
  if (confinement === undefined) return fullRights
  const ids = { uids: confinement.uids, gids: confinement.gids }
  return isPrivileged(facts) ? { ...fullRights, confined: true, ids } : userRights(openUnpacker, ids)
}

/** An ordinary user may mount nowhere but where his launcher is. */
export function keptWithin(facts: HostFacts, launcher: Launcher): (() => Promise<number>) | undefined {
  return isPrivileged(facts) ? undefined : () => launcher.inside()
}

/** Unpackers come from the launcher, which lives in the namespaces where layers belong. */
function unpackerBy(launcher: Launcher): OpenUnpacker {
  return async (directory) => {
    const operations = pipe()
    const result = pipe()
    try {
      await launcher.spawnUnpacker(directory, operations.read, result.write)
      return { stream: operations.write, status: result.read }
    } catch (error) {
      close(operations.write)
      close(result.read)
      throw error
    }
  }
}

/** In a mount namespace that ends with the process that mounted. */
async function tryRoot(launcher: Launcher, { operations, held }: RootMount): Promise<void> {
  const monitor = await launcher.launch(
    {
      create: ['mount'],
      join: [],
      cgroup: { directories: [], writes: [], attach: [] },
      stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
      operations: [{ op: 'propagation', mode: 'private' }, ...operations, { op: 'exit' }],
    },
    held,
  )
  try {
    await monitor.exited
  } finally {
    monitor.close()
  }
}
