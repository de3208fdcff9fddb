/** A volume as it is shown, and as the database keeps it. Pure. */

/** How a volume is encrypted: see `encryption` of {@link VolumeOptions}. */
export type EncryptionName = 'gocryptfs' | 'luks'

/** A volume. */
export interface Volume {
  readonly name: string
  /** What keeps its data: `'local'`, or the name of another driver. */
  readonly driver: string
  readonly labels: Readonly<Record<string, string>>
  /** As they were given to {@link Volumes.create}. */
  readonly options: Readonly<Record<string, string>>
  /** Nobody gave it a name: it belongs to the container that it was made for. */
  readonly anonymous: boolean
  /** Its key is needed before a container can use it. */
  readonly encrypted: boolean
  /** How. Absent where it is not. */
  readonly encryption?: EncryptionName
  /** Where its data is on the host. Absent where it is mounted within containers alone. */
  readonly path?: string
  /** The ids of the containers that use it, running or not. */
  readonly containers: readonly string[]
  readonly createdAt: Date
}

/** What the database keeps. */
export interface VolumeRecord {
  readonly name: string
  readonly driver: string
  readonly labels: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, string>>
  readonly anonymous: boolean
  readonly encrypted: boolean
  /** @default 'gocryptfs' where it is encrypted */
  readonly encryption?: EncryptionName
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Absent: it is whole. Otherwise what was being done to it; the next open removes what nobody is at any more. */
  readonly state?: 'making' | 'removing'
  /** It has begun with what an image had, and will not do so again. */
  readonly filled?: boolean
}

/** The record of a volume that a container asks for and that nobody has made. */
export function plainVolume(name: string, anonymous: boolean): VolumeRecord {
  return { name, driver: 'local', labels: {}, options: {}, anonymous, encrypted: false, createdAt: Date.now() }
}

/** What a volume may be called: the names of podman-volume-create(1). */
export const volumeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/
export const volumeNameWords = "letters, digits, '_', '.' and '-', the first one a letter or digit, at most 255"
