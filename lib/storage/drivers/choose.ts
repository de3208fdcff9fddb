/** Which driver a root is worked on with: the one that it was made with, for good. */
import { PodlingError } from '../../errors.js'
import type { Database } from '../database.js'
import type { DriverName } from './driver.js'
import type { DriverKind } from './kind.js'
import { autoKinds, driverKind } from './kinds.js'
import type { DriverReport } from './survey.js'

/** What may be asked for. */
export type DriverChoice = DriverName | 'auto'

export interface ChoiceParts {
  /** In messages. */
  readonly root: string
  readonly database: Database
  readonly survey: (kind: DriverKind) => Promise<DriverReport>
}

/**
 * @param wanted `auto`: the root's own, and for a new root the first that works here
 * @throws PodlingError DRIVER_MISMATCH, DRIVER_UNSUPPORTED with the reasons
 */
export async function chooseDriver(wanted: DriverChoice, parts: ChoiceParts): Promise<DriverKind> {
  const { database, root } = parts
  const table = database.table<DriverName>('storage')
  const known = table.get(key) ?? nameOfOld(database)
  const kind = known === undefined ? await firstThatWorks(wanted, parts) : driverKind(known)
  // Another process may make the same root its own meanwhile: the first one decides.
  const name = await database.transaction(() => {
    const found = table.get(key) ?? kind.name
    void table.put(key, found)
    return found
  })
  if (wanted !== 'auto' && wanted !== name) throw mismatch(root, name, wanted)
  return driverKind(name)
}

const key = 'driver'

/** A root from before there was a choice. */
function nameOfOld(database: Database): DriverName | undefined {
  const [layer] = database.table('layers').entries()
  return layer === undefined ? undefined : 'overlay'
}

async function firstThatWorks(wanted: DriverChoice, { survey }: ChoiceParts): Promise<DriverKind> {
  const reasons: string[] = []
  for (const kind of wanted === 'auto' ? autoKinds : [driverKind(wanted)]) {
    const { works, reason } = await survey(kind)
    if (works) return kind
    reasons.push(`${kind.name}: ${reason}`)
  }
  throw new PodlingError(
    'DRIVER_UNSUPPORTED',
    wanted === 'auto'
      ? `no storage driver works on this machine: ${reasons.join('; ')}`
      : `storageDriver: '${wanted}' does not work on this machine: ${reasons.join('; ')}; leave it out to get one that does`,
  )
}

function mismatch(root: string, made: DriverName, wanted: DriverName): PodlingError {
  return new PodlingError(
    'DRIVER_MISMATCH',
    `storageDriver: ${root} was made with the driver '${made}', whose layers and containers '${wanted}' can't use; ` +
      `ask for '${made}' or leave it out, or give '${wanted}' a root of its own`,
    { path: root },
  )
}
