/** What keeps the data of volumes. */
import { show } from '../../schema/faults.js'
import type { VolumeRecord } from './volume.js'

/** What a driver is told of a volume. */
export interface DriverVolume extends Pick<VolumeRecord, 'name' | 'labels' | 'options' | 'encrypted' | 'encryption'> {
  /** The volume's own directory on the host, mode 0700, kept and removed by Podling. */
  readonly directory: string
}

/** Flags of a mount, as mount(8) names them. */
export interface VolumeMountAttributes {
  readonly readOnly?: boolean
  readonly noSuid?: boolean
  readonly noDev?: boolean
  readonly noExec?: boolean
  readonly accessTime?: 'relatime' | 'noatime' | 'strictatime'
}

/**
 * What the container does, in its own mount namespace and before it has its root, so that the kernel unmounts it with the
 * container. `target` is a directory of the host.
 */
export type VolumeOperation =
  | {
      readonly op: 'mount'
      readonly fstype: string
      readonly source: string
      readonly target: string
      readonly attributes: VolumeMountAttributes
      /** Of the file system itself, `key` or `key=value`. */
      readonly options: readonly string[]
    }
  | {
      readonly op: 'bind'
      readonly source: string
      readonly target: string
      readonly recursive: boolean
      readonly attributes: VolumeMountAttributes
    }
  /** What a keeper has mounted for all users of the volume together. */
  | { readonly op: 'adopt'; readonly keeper: string; readonly target: string }

/** Where a container finds a volume's data. */
export interface VolumeMount {
  /** The directory of the host that has the data once the operations are done. */
  readonly path: string
  /** @default none: the data is there */
  readonly operations?: readonly VolumeOperation[]
  /** Where a first copy of the image's content is made: a directory of the same file system. @default `path` */
  readonly staging?: string
  /** It is empty whenever nobody has used it, and begins anew with what the image has. @default false: only once */
  readonly fresh?: boolean
  /**
   * Descriptors that must stay open for as long as the container uses it. They go to the container's monitor, and are
   * closed with it, however it ends.
   */
  readonly held?: readonly number[]
}

/** Who uses a volume. */
export interface VolumeUser {
  /** The container's id. */
  readonly container: string
}

/**
 * A driver of volumes, small enough to write one's own: give it to `Runtime.open({ volumeDrivers: { name: driver } })`.
 * Each verb may be called again after a crash, and must then go on or find that all is done.
 */
export interface VolumeDriver {
  /** Make the volume. What it throws is told; nothing of the volume is kept then, `remove` is called. */
  create(volume: DriverVolume): Promise<void>
  /** Remove it, with its data. 'Already gone' is success. Podling removes its `directory` itself. */
  remove(volume: DriverVolume): Promise<void>
  /** A container is about to start with it. */
  mount(volume: DriverVolume, user: VolumeUser): Promise<VolumeMount>
  /** The container has ended, or did not start. Called at least once for each `mount`. @default nothing to do */
  unmount?(volume: DriverVolume, user: VolumeUser): Promise<void>
  /** Where the data is while no container uses it. @default nowhere on the host */
  path?(volume: DriverVolume): string | undefined
}

/** What is wrong with the drivers that the caller gave, as sentences. */
export function volumeDriverFaults(drivers: unknown): string[] {
  if (typeof drivers !== 'object' || drivers === null) return [`volumeDrivers: must be an object, got ${show(drivers)}`]
  return Object.entries(drivers as Record<string, Partial<VolumeDriver> | undefined>).flatMap(([name, driver]) => {
    if (name === 'local' || name === 'csi')
      return [`volumeDrivers.${name}: is the name of a driver that is there already`]
    const missing = (['create', 'remove', 'mount'] as const).filter((verb) => typeof driver?.[verb] !== 'function')
    return missing.map((verb) => `volumeDrivers.${name}.${verb}: must be a function`)
  })
}
