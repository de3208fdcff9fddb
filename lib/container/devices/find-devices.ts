/** The devices of the host that a container is given, as its spec has them. */
import { readdirSync, statSync } from 'node:fs'
import type { DeviceRule } from '../../cgroup/resources.js'
import { PodlingError } from '../../errors.js'
import type { SpecDevice } from '../../launch/oci-spec.js'
import { deviceNumbers } from '../../sys/device-numbers.js'
import type { DeviceRequest } from './parse-devices.js'

export interface FoundDevices {
  readonly devices: readonly SpecDevice[]
  readonly rules: readonly DeviceRule[]
}

/**
 * A directory stands for all devices below it; links are followed, as by podman.
 * @throws PodlingError `DEVICE_NOT_FOUND`, for all that aren't there at once
 */
export function findDevices(requests: readonly DeviceRequest[]): FoundDevices {
  const devices: SpecDevice[] = []
  const rules: DeviceRule[] = []
  const missing: string[] = []
  for (const { source, target, access } of requests) {
    const found = devicesAt(source, target)
    if (typeof found === 'string') missing.push(`${source} ${found}`)
    else {
      devices.push(...found)
      rules.push(...found.map((device) => ruleOf(device, access)))
    }
  }
  if (missing.length === 0) return { devices, rules }
  throw new PodlingError(
    'DEVICE_NOT_FOUND',
    `devices: ${missing.join('; ')}; load the driver that makes it, or give another`,
    { ...(requests.length === 1 && requests[0] !== undefined ? { path: requests[0].source } : {}) },
  )
}

export function ruleOf({ type, major, minor }: SpecDevice, access: string): DeviceRule {
  return {
    allow: true,
    type,
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
    access,
  }
}

/** What doesn't belong to the host, or what each container has of its own. */
const notForContainers = new Set([
  '/dev/pts',
  '/dev/shm',
  '/dev/fd',
  '/dev/mqueue',
  '/dev/console',
  '/dev/ptmx',
  '/dev/tty',
])

/** All devices of the host, for a container that may do to it what root can. */
export function hostDevices(): SpecDevice[] {
  return below('/dev', '/dev')
}

/** @returns why there are none */
function devicesAt(source: string, target: string): SpecDevice[] | string {
  let status
  try {
    status = statSync(source)
  } catch (error) {
    return `is not there (${(error as NodeJS.ErrnoException).code ?? 'EIO'})`
  }
  const device = specDevice(status, target)
  if (device !== undefined) return [device]
  if (!status.isDirectory()) return 'is no device'
  const found = below(source, target)
  return found.length === 0 ? 'has no devices in it' : found
}

/** Links among them lead to what is there anyway, or out of it. */
function below(directory: string, target: string): SpecDevice[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = `${directory}/${entry.name}`
    if (notForContainers.has(path)) return []
    if (entry.isDirectory()) return below(path, `${target}/${entry.name}`)
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return []
    try {
      return specDevice(statSync(path), `${target}/${entry.name}`) ?? []
    } catch {
      return [] // Just taken out.
    }
  })
}

interface Status {
  isBlockDevice(): boolean
  isCharacterDevice(): boolean
  readonly rdev: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

function specDevice(status: Status, path: string): SpecDevice | undefined {
  if (!status.isBlockDevice() && !status.isCharacterDevice()) return undefined
  const { rdev, mode, uid, gid } = status
  return { type: status.isBlockDevice() ? 'b' : 'c', path, ...deviceNumbers(rdev), fileMode: mode & 0o777, uid, gid }
}
