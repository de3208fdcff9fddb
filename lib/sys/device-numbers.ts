/** Devices by their numbers (makedev(3)). */
import { statSync } from 'node:fs'
import { PodlingError } from '../errors.js'

export interface DeviceNumbers {
  readonly type: 'c' | 'b'
  readonly major: number
  readonly minor: number
}

/** Of `st_rdev`: the bits of each lie in two places. */
export function deviceNumbers(rdev: number): { readonly major: number; readonly minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) }
}

/**
 * The device at a path of the host; links are followed.
 * @throws PodlingError `DEVICE_NOT_FOUND`
 */
export function findDevice(path: string, what: string): DeviceNumbers {
  let status
  try {
    status = statSync(path)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code ?? 'EIO'
    throw new PodlingError('DEVICE_NOT_FOUND', `${what}: ${path} is not there (${errno})`, { cause, errno, path })
  }
  if (!status.isCharacterDevice() && !status.isBlockDevice()) {
    throw new PodlingError('DEVICE_NOT_FOUND', `${what}: ${path} is no device`, { path })
  }
  return { type: status.isBlockDevice() ? 'b' : 'c', ...deviceNumbers(status.rdev) }
}
