/** Volumes of a container in the making: which they are, and where their data is. Pure. */
import { randomBytes } from 'node:crypto'
import { posix } from 'node:path'
import { PodlingError } from '../errors.js'
import type { VolumeClaim } from '../storage/volumes/volume-records.js'
import { cleanPath, isBelowRoot } from './mount-paths.js'
import type { MountedImageUse, MountRequest, MountUse } from './mount-request.js'
import { imageVolume } from './parse-volume.js'

/** The mounts of a container, with what the spec can't say of them beside it. */
export interface PlacedMounts {
  readonly mounts: readonly MountRequest[]
  readonly uses: readonly MountUse[]
  /** The volumes that it uses, each once. */
  readonly claims: readonly VolumeClaim[]
}

/**
 * @param asked what the options ask for, which takes the place of what the image asks for at the same path
 * @param imageVolumes the paths that the image says are volumes
 * @param dataPath where the data of a volume is
 * @param images those that are asked for, by the path where they are to be
 * @throws PodlingError `IMAGE_INVALID`
 */
export function placeVolumes(
  asked: readonly MountRequest[],
  imageVolumes: readonly string[],
  dataPath: (volume: string) => string,
  images: ReadonlyMap<string, MountedImageUse> = new Map(),
): PlacedMounts {
  const taken = new Set(asked.map(({ destination }) => destination))
  const own = imageVolumes.map(checkImageVolume).filter((path) => !taken.has(path))
  const mounts: MountRequest[] = []
  const uses: MountUse[] = []
  const claims = new Map<string, VolumeClaim>()
  for (const request of [...asked, ...[...new Set(own)].map(imageVolume)]) {
    const { extras, ...mount } = request
    if (extras === undefined) {
      mounts.push(mount)
      continue
    }
    const { volume, image: _, ...rest } = extras
    const image = images.get(mount.destination)
    if (volume === undefined) {
      mounts.push(mount)
      uses.push({ destination: mount.destination, ...rest, ...(image === undefined ? {} : { image }) })
      continue
    }
    const anonymous = volume.name === undefined
    const name = volume.name ?? randomBytes(32).toString('hex')
    mounts.push({ ...mount, source: posix.join(dataPath(name), rest.subpath ?? '') })
    uses.push({ destination: mount.destination, ...rest, volume: { name, anonymous, copy: volume.copy } })
    claims.set(name, { name, anonymous })
  }
  return { mounts, uses, claims: [...claims.values()] }
}

function checkImageVolume(path: string): string {
  const clean = cleanPath(path)
  // What the kernel says of processes must come from the kernel, whatever an image would like.
  if (isBelowRoot(path) && !path.includes('\0') && !/^\/proc(\/|$)/.test(clean)) return clean
  throw new PodlingError(
    'IMAGE_INVALID',
    `create a container: the image says that ${JSON.stringify(path)} is a volume, where none can be; mend the image`,
  )
}
