import { createHash } from 'node:crypto'
import { isAbsolute, resolve } from 'node:path'
import { PodlingError } from '../errors.js'
import { show } from '../schema/faults.js'
import type { DriverChoice } from '../storage/drivers/choose.js'
import { driverNames } from '../storage/drivers/driver.js'
import { imagePolicyFaults } from './policy-files.js'
import { subIdFaults } from './sub-ids.js'
import { layerOptionFaults, type LayerOptions } from './layer-rules.js'
import { volumeDriverFaults } from '../storage/volumes/driver.js'

/** Where a runtime keeps its state. */
export interface RuntimePaths {
  /** Images, layers, containers, the database: kept across reboots. */
  readonly root: string
  /** Sockets and locks: gone with a reboot. */
  readonly runRoot: string
  /** The name of the cgroup that holds the containers of this root. */
  readonly cgroupParent: string
}

export const DEFAULT_ROOT = '/var/lib/podling'
export const DEFAULT_RUN_ROOT = '/run/podling'

/** `c/`, half an id, `/monitor.sock` must fit behind it into the 108 bytes of a socket's address (unix(7)). */
const LONGEST_RUN_ROOT = 107 - '/c/'.length - 32 - '/monitor.sock'.length

const OPTIONS = ['root', 'runRoot', 'storageDriver', 'layers', 'volumeDrivers', 'imagePolicy', 'cdiSpecDirs', 'subIds']

const DRIVERS: readonly unknown[] = ['auto', ...driverNames]

/** Where they are when nobody says. */
export interface DefaultPaths {
  readonly root: string
  readonly runRoot: string
}

export const rootDefaults: DefaultPaths = { root: DEFAULT_ROOT, runRoot: DEFAULT_RUN_ROOT }

/** Pure. @throws PodlingError `INVALID_OPTION` with all mistakes at once */
export function runtimePaths(
  given: {
    readonly root?: string
    readonly runRoot?: string
    readonly storageDriver?: DriverChoice
    readonly layers?: LayerOptions
  },
  defaults: () => DefaultPaths = () => rootDefaults,
): RuntimePaths {
  checkShape(given)
  const root = resolve(given.root ?? defaults().root)
  // A root elsewhere is mostly a test's or a tool's: its run directory then lies in it, and goes with it.
  const runRoot = given.runRoot ?? (given.root === undefined ? defaults().runRoot : `${root}/run`)
  if (!isAbsolute(runRoot)) {
    throw new PodlingError('INVALID_OPTION', `runRoot: must be an absolute path, got ${JSON.stringify(runRoot)}`)
  }
  if (Buffer.byteLength(runRoot) > LONGEST_RUN_ROOT) {
    throw new PodlingError(
      'INVALID_OPTION',
      `runRoot: ${runRoot} is too long for the sockets in it (at most ${String(LONGEST_RUN_ROOT)} bytes); give a shorter runRoot, such as one below /run`,
    )
  }
  return { root, runRoot, cgroupParent: root === DEFAULT_ROOT ? 'podling' : `podling-${shortHash(root)}` }
}

/** Two roots on one machine must not take each other's cgroups for their own. */
function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

function checkShape(given: object): void {
  const entries = Object.entries(given) as [string, unknown][]
  const faults = entries.flatMap(([name, value]) => {
    if (!OPTIONS.includes(name)) return [`${name}: unknown option; there are ${OPTIONS.join(', ')}`]
    if (value === undefined) return []
    if (name === 'layers') return layerOptionFaults(value)
    if (name === 'imagePolicy') return imagePolicyFaults(value)
    if (name === 'subIds') return subIdFaults(value)
    if (name === 'volumeDrivers') return volumeDriverFaults(value)
    if (name === 'storageDriver') {
      if (DRIVERS.includes(value)) return []
      return [`storageDriver: must be one of ${DRIVERS.map(show).join(', ')}, got ${show(value)}`]
    }
    if (name === 'cdiSpecDirs') return directoriesFaults(name, value)
    if (typeof value === 'string' && value !== '' && !value.includes('\0')) return []
    return [`${name}: must be the path of a directory, got ${show(value)}`]
  })
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', `open the runtime: ${faults.join('; ')}`)
}

function directoriesFaults(name: string, value: unknown): string[] {
  if (Array.isArray(value) && value.every((path) => typeof path === 'string' && isAbsolute(path))) return []
  return [`${name}: must be absolute paths of directories, got ${show(value)}`]
}
