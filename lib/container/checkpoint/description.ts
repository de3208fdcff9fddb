import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import { faultFinder, formatFaults } from '../../schema/faults.js'
import type { MountInfo } from '../../sys/mountinfo.js'
import type { Lifecycle } from '../lifecycle.js'
import type { GivenOptions } from '../record.js'
import { externalMounts } from './dump-options.js'
import { sealOf, type CheckpointDigests } from './seal.js'
import { findStreams, type OpenAt } from './streams.js'

/** The version of what a description means. */
const VERSION = 1

/** What a restore must know beside CRIU's images. It may come from anywhere, and is believed nothing that gives rights. */
export interface CheckpointDescription {
  readonly version: number
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly container: { readonly id: string; readonly name: string }
  /** The image by its id, the digest of its config. */
  readonly image: { readonly id: string; readonly name: string }
  /** As they were given for the container. */
  readonly options: GivenOptions
  /** The targets of the mounts that came from outside. */
  readonly mounts: readonly string[]
  /** Whether it had a network namespace of its own. */
  readonly ownNetwork: boolean
  /** What its stdout and stderr were, as CRIU names them. */
  readonly streams: readonly string[]
  /** Where it has its standard input open, which is written to from outside. */
  readonly input?: OpenAt
  readonly digests: CheckpointDigests
}

export async function describeCheckpoint(
  container: Lifecycle,
  monitor: Monitor,
  mounts: readonly MountInfo[],
  ownNetwork: boolean,
  digests: CheckpointDigests,
): Promise<CheckpointDescription> {
  const { id, name, image, given } = container.record
  if (image === undefined || given === undefined) {
    throw new PodlingError(
      'INVALID_STATE',
      `checkpoint container ${name}: it was made of no image, or by an older version`,
    )
  }
  return {
    version: VERSION,
    time: Date.now(),
    container: { id, name },
    image,
    options: given,
    mounts: externalMounts(mounts).map(({ mountPoint }) => mountPoint),
    ownNetwork,
    ...(await findStreams(container, monitor)),
    digests,
  }
}

/** A description as it stands in its file: a line of JSON, and the line of its seal. */
export function formatDescription(description: CheckpointDescription, key: Buffer): string {
  const text = JSON.stringify(description)
  return `${text}\n${sealOf(key, text)}\n`
}

const schema = {
  type: 'object',
  required: ['version', 'container', 'image', 'options', 'mounts', 'ownNetwork', 'streams', 'digests'],
  properties: {
    version: { const: VERSION },
    container: {
      type: 'object',
      required: ['id', 'name'],
      properties: { id: { type: 'string' }, name: { type: 'string' } },
    },
    image: {
      type: 'object',
      required: ['id', 'name'],
      properties: { id: { type: 'string' }, name: { type: 'string' } },
    },
    options: { type: 'object' },
    mounts: { type: 'array', maxItems: 1000, items: { type: 'string', pattern: '^/' } },
    ownNetwork: { type: 'boolean' },
    streams: { type: 'array', maxItems: 2, items: { type: 'string' } },
    input: {
      type: 'object',
      required: ['pid', 'fd'],
      properties: { pid: { type: 'integer', minimum: 1 }, fd: { type: 'integer', minimum: 0 } },
    },
    digests: { type: 'object', additionalProperties: { type: 'string' } },
  },
} as const

const findFaults = faultFinder(schema)

/** @throws PodlingError `CHECKPOINT_INVALID` */
export function parseDescription(
  path: string,
  file: string,
): { readonly text: string; readonly seal: string; readonly description: CheckpointDescription } {
  const [text = '', seal = ''] = file.split('\n')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(path, 'its description is not JSON', error)
  }
  const faults = findFaults(value)
  if (faults.length > 0) throw invalid(path, formatFaults('its description', faults))
  return { text, seal, description: value as CheckpointDescription }
}

function invalid(path: string, why: string, cause?: unknown): PodlingError {
  return new PodlingError('CHECKPOINT_INVALID', `restore from ${path}: it is no checkpoint of this version: ${why}`, {
    path,
    ...(cause === undefined ? {} : { cause }),
  })
}
