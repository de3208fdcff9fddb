/** How a volume's data is kept so that nobody can read it on the disk. */
import { PodlingError } from '../../errors.js'
import type { DriverVolume } from './driver.js'
import type { KeeperFailure, HeldKeeper } from './keeper.js'
import type { VolumeKey } from './keys.js'

/** Finds a program, or says that it isn't there. */
export type FindProgram = (name: string) => string | undefined

/** One way of encryption. What it throws is a `KeeperFailure` where a program or a mount failed. */
export interface Encrypter {
  /** The exit code by which its program says that the key is another one. */
  readonly wrongKey: number
  /** Its program, as messages name it. */
  readonly program: string
  /** The file or directory, in the volume's own, that has all of it. */
  readonly store: string
  /** What to do about a failure. @default nothing is known */
  remedy?(failure: KeeperFailure): string | undefined
  /** Make it in the volume's directory. */
  create(volume: DriverVolume, key: VolumeKey): Promise<void>
  /** Have it mounted at `target`, where `_data` is then its data. */
  hold(volume: DriverVolume, target: string, key: VolumeKey): Promise<HeldKeeper>
  /** See whether the key is the right one, whoever has the volume mounted. */
  check(volume: DriverVolume, key: VolumeKey): Promise<void>
  /** Take away what a crash has left. @default nothing stays */
  sweep?(): Promise<void>
}

/** @throws PodlingError `VOLUME_PROGRAM_NOT_FOUND` */
export function requireProgram(find: FindProgram, name: string, debian: string, what: string): string {
  const found = find(name)
  if (found !== undefined) return found
  throw new PodlingError(
    'VOLUME_PROGRAM_NOT_FOUND',
    `${what}: encrypted volumes need the program ${name}; install Debian's package ${debian}`,
  )
}
