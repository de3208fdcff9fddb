/** The state of a container's health, as its monitor tells it and leaves it on disk (`struct health_state`). */
import { readFileSync } from 'node:fs'
import { PodlingError } from '../errors.js'

/** `enum health_status`. */
export const healthStatuses: Readonly<Record<HealthStatus, number>> = { starting: 1, healthy: 2, unhealthy: 3 }

/**
 * What is known of its health: nothing yet; that its last check succeeded, or failed but not often enough in a row to
 * matter; that so many failed.
 */
export type HealthStatus = 'starting' | 'healthy' | 'unhealthy'

/** One check. */
export interface HealthCheckResult {
  readonly start: Date
  readonly end: Date
  /** 0: healthy. -1: it took longer than its timeout. 125 to 127: it could not be run. */
  readonly exitCode: number
  /** The first 500 bytes of what it wrote to its standard output and error. */
  readonly output: string
}

/** How healthy a container is, or was when it ended. */
export interface ContainerHealth {
  readonly status: HealthStatus
  /** How many checks have failed in a row. */
  readonly failingStreak: number
  /** The last five checks, the latest last; also those before a restart. */
  readonly log: readonly HealthCheckResult[]
}

/** Of the C structures. */
const headSize = 16
const resultHead = 24
export const healthOutputSize = 500
export const healthResults = 5
const resultSize = (resultHead + healthOutputSize + 7) & ~7
const stateSize = headSize + healthResults * resultSize

export function decodeHealth(bytes: Buffer): ContainerHealth {
  const number = bytes.readUInt32LE(0)
  const status = (Object.keys(healthStatuses) as HealthStatus[]).find((name) => healthStatuses[name] === number)
  const count = bytes.readUInt32LE(8)
  if (status === undefined || bytes.length !== stateSize || count > healthResults) {
    throw new RangeError('no state of health')
  }
  return {
    status,
    failingStreak: bytes.readUInt32LE(4),
    log: Array.from({ length: count }, (_, index) => decodeResult(bytes.subarray(headSize + index * resultSize))),
  }
}

function decodeResult(bytes: Buffer): HealthCheckResult {
  const size = Math.min(bytes.readUInt32LE(20), healthOutputSize)
  return {
    start: new Date(Number(bytes.readBigUInt64LE(0))),
    end: new Date(Number(bytes.readBigUInt64LE(8))),
    exitCode: bytes.readInt32LE(16),
    // As a stream, since it may be cut off within a character, which is left out then.
    output: new TextDecoder().decode(bytes.subarray(resultHead, resultHead + size), { stream: true }),
  }
}

/**
 * Read what the monitor of a container left.
 * @returns undefined where there is none: it never ran
 * @throws PodlingError `STATE_INVALID` when the file is not what a monitor writes.
 */
export function readHealthFile(path: string): ContainerHealth | undefined {
  let bytes
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new PodlingError('SYSTEM_CALL_FAILED', `Read the state of health ${path}`, { cause: error, path })
  }
  try {
    return decodeHealth(bytes)
  } catch (error) {
    throw new PodlingError('STATE_INVALID', `The state of health ${path} is damaged`, { cause: error, path })
  }
}
