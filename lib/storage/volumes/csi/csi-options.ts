/** The options of a volume of the driver `csi`. Pure. */
import { PodlingError } from '../../../errors.js'
import { show } from '../../../schema/faults.js'
import { nearestName } from '../../../schema/nearest-name.js'
import { parseSize, sizeWords } from '../../../schema/quantities.js'
import { accessModes, type AccessMode } from './messages.js'
import type { Message } from '../../../schema/protobuf.js'

export interface CsiOptions {
  /** The driver's socket. */
  readonly endpoint: string
  /** Bytes; undefined: as the driver likes. */
  readonly capacity?: number
  readonly accessMode: AccessMode
  readonly fsType?: string
  readonly mountFlags: readonly string[]
  /** A volume that is there already, and is not deleted. */
  readonly volumeId?: string
  /** What it begins with. */
  readonly snapshot?: string
  /** For the driver. */
  readonly parameters: Readonly<Record<string, string>>
}

const known = ['endpoint', 'capacity', 'accessMode', 'fsType', 'mountFlags', 'volumeId', 'snapshot', 'accessType']
const parameterPrefix = 'parameter.'

/** @throws PodlingError `INVALID_OPTION` with all mistakes */
export function parseCsiOptions(name: string, given: Readonly<Record<string, string>>): CsiOptions {
  const faults: string[] = []
  const parameters: Record<string, string> = {}
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith(parameterPrefix)) parameters[key.slice(parameterPrefix.length)] = value
    else if (!known.includes(key)) {
      const near = nearestName(key, known)
      faults.push(
        `options.${key}: unknown option${near === undefined ? `; the driver's own begin with '${parameterPrefix}'` : `; did you mean ${near}?`}`,
      )
    }
  }
  const endpoint = (given['endpoint'] ?? '').replace(/^unix:(\/\/)?/, '')
  if (!endpoint.startsWith('/'))
    faults.push("options.endpoint: must be the driver's socket, such as '/run/csi/csi.sock'")
  const capacity = parseSize(given['capacity'])
  if (given['capacity'] !== undefined && !capacity)
    faults.push(`options.capacity: must be ${sizeWords}, got ${show(given['capacity'])}`)
  const accessMode = given['accessMode'] ?? 'single-node-writer'
  if (!Object.hasOwn(accessModes, accessMode)) {
    faults.push(`options.accessMode: must be one of ${Object.keys(accessModes).join(', ')}, got ${accessMode}`)
  }
  const { accessType = 'mount', fsType, volumeId, snapshot } = given
  if (accessType === 'block') {
    faults.push(
      "options.accessType: block volumes are not supported, a container's volume is a directory; give 'mount', or leave it out",
    )
  } else if (accessType !== 'mount') faults.push(`options.accessType: must be mount, got ${accessType}`)
  if (volumeId !== undefined && (capacity !== undefined || snapshot !== undefined)) {
    faults.push('options.volumeId: names a volume that is there; leave out capacity and snapshot')
  }
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', `create volume ${name}: ${faults.join('; ')}`)
  return {
    endpoint,
    ...(capacity === undefined ? {} : { capacity }),
    accessMode: accessMode as AccessMode,
    ...(fsType === undefined ? {} : { fsType }),
    mountFlags: (given['mountFlags'] ?? '').split(',').filter((flag) => flag !== ''),
    ...(volumeId === undefined ? {} : { volumeId }),
    ...(snapshot === undefined ? {} : { snapshot }),
    parameters,
  }
}

/** How the volume is used, as each call says. */
export function capabilityOf({ fsType = '', mountFlags, accessMode }: CsiOptions): Message {
  return { mount: { fsType, mountFlags }, accessMode: { mode: accessModes[accessMode] } }
}
