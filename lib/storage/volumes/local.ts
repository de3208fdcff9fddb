/** The driver `local`: a directory below the root of the runtime. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, isErrno } from '../file-error.js'
import type { DriverVolume, VolumeDriver, VolumeMount } from './driver.js'

export class LocalDriver implements VolumeDriver {
  create(volume: DriverVolume): Promise<void> {
    return new Promise((resolve) => {
      makeData(volume)
      resolve()
    })
  }

  remove(): Promise<void> {
    return Promise.resolve()
  }

  /** Making it is its mount's work too: a container's own volumes are made when it is. */
  mount(volume: DriverVolume): Promise<VolumeMount> {
    return new Promise((resolve) => {
      resolve({ path: makeData(volume), staging: volume.directory })
    })
  }

  path(volume: DriverVolume): string {
    return dataOf(volume)
  }
}

function dataOf({ directory }: DriverVolume): string {
  return join(directory, '_data')
}

function makeData(volume: DriverVolume): string {
  const data = dataOf(volume)
  try {
    // In a container its own mode counts, here that of the directory above it.
    mkdirSync(data, { mode: 0o755 })
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw fileError(error, `make the directory of volume ${volume.name}`)
  }
  return data
}
