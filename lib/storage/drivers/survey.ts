/** Which drivers work here: first by what is known of the machine, then by trying. */
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { HostFacts } from '../../sys/kernel.js'
import { fileError } from '../file-error.js'
import type { OpenUnpacker } from '../layer-types.js'
import { lockFile } from '../lock.js'
import { removeTrees } from '../remove-tree.js'
import type { StorageRights } from '../rights.js'
import type { FindProgram } from '../volumes/encrypter.js'
import type { Keepers } from '../volumes/keeper.js'
import type { DriverName, RootMount } from './driver.js'
import type { DriverKind } from './kind.js'

/** Mount a root in a mount namespace that is thrown away. Injected, since launching stands further down. Rejects when it fails. */
export type TryRoot = (root: RootMount) => Promise<void>

/** What a driver is good for here. */
export interface DriverReport {
  readonly name: DriverName
  readonly works: boolean
  /** Why not, with the remedy; or what speaks for and against it. */
  readonly reason: string
}

export interface SurveyParts {
  readonly facts: HostFacts
  /** Where trials are made: the layers' `tmp/`, whose owner clears up after the dead, and goes by `<name>.lock`. */
  readonly directory: string
  readonly openUnpacker: OpenUnpacker
  readonly keepers: Keepers
  readonly findProgram: FindProgram
  readonly tryRoot: TryRoot
  readonly rights: StorageRights
}

/** Judge a driver, by a container of no image that is mounted and removed. */
export async function surveyDriver(kind: DriverKind, parts: SurveyParts): Promise<DriverReport> {
  const { name, merit } = kind
  const obstacle = kind.obstacle(parts.facts, parts.findProgram)
  if (obstacle !== undefined) return { name, works: false, reason: obstacle }
  try {
    await tryDriver(kind, parts)
    return { name, works: true, reason: merit }
  } catch (error) {
    // A full disk says nothing about the driver.
    if (error instanceof PodlingError && error.code === 'DISK_FULL') throw error
    return { name, works: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

async function tryDriver(
  kind: DriverKind,
  { directory, openUnpacker, keepers, findProgram, tryRoot, rights }: SurveyParts,
): Promise<void> {
  const trial = `trial-${randomUUID()}`
  const place = join(directory, trial)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fileError(error, `make ${directory}`)
  }
  const lock = await lockFile(`${place}.lock`)
  try {
    const layer = join(place, 'layer')
    mkdirSync(layer, { recursive: true, mode: 0o700 })
    await kind.format.makeEmpty(layer)
    const layers = { lower: () => [kind.format.place(layer)], root: () => ({ uid: 0, gid: 0, mode: 0o755 }) }
    const driver = await kind.open({
      directory: join(place, 'driver'),
      layers,
      openUnpacker,
      keepers,
      findProgram,
      rights,
    })
    try {
      await driver.prepare('trial', 'layer')
      await tryRoot(await driver.mount('trial'))
    } finally {
      await driver.close()
    }
  } catch (error) {
    throw fileError(error, `try the storage driver ${kind.name}`)
  } finally {
    await removeTrees(openUnpacker, directory, [trial])
    lock.release({ unlink: true })
  }
}
