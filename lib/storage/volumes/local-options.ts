/** The options of the driver `local`: `type`, `device` and `o`, as those of Docker's and Podman's. Pure. */
import { PodlingError } from '../../errors.js'
import { nearestName } from '../../schema/nearest-name.js'
import type { VolumeMountAttributes } from './driver.js'
import { mountFlags } from './mount-flags.js'

/** What is mounted for a volume; undefined: nothing, it is a directory. */
export interface LocalMount {
  /** `'bind'`, or a file system of the kernel's. */
  readonly fstype: string
  readonly device: string
  readonly attributes: VolumeMountAttributes
  readonly recursive: boolean
  /** Of the file system itself. */
  readonly options: readonly string[]
}

/** A local volume: whose its directory is, or what is mounted. */
export interface LocalVolume {
  readonly uid?: number
  readonly gid?: number
  readonly mount?: LocalMount
}

const known = ['type', 'device', 'o']

const ignored = new Set(['defaults', 'loop', 'auto', 'noauto', '_netdev', 'async', 'user', 'nouser', 'nofail'])

/** @throws PodlingError `INVALID_OPTION` with all mistakes */
export function parseLocalOptions(name: string, given: Readonly<Record<string, string>>): LocalVolume {
  const faults: string[] = []
  for (const key of Object.keys(given)) {
    const near = nearestName(key, known)
    if (!known.includes(key))
      faults.push(`options.${key}: unknown option${near === undefined ? '' : `; did you mean ${near}?`}`)
  }
  const words = (given['o'] ?? '').split(',').filter((word) => word !== '')
  const bind = words.find((word) => word === 'bind' || word === 'rbind')
  const type = bind === undefined ? given['type'] : 'bind'
  const volume = type === undefined || type === '' ? ownerOf(words, given, faults) : mountOf(type, words, given, faults)
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', `create volume ${name}: ${faults.join('; ')}`)
  return volume
}

function ownerOf(words: readonly string[], given: Readonly<Record<string, string>>, faults: string[]): LocalVolume {
  if (given['device'] !== undefined)
    faults.push("options.device: has no effect without options.type, or options.o: 'bind'")
  let owner: LocalVolume = {}
  for (const word of words) {
    const [, key = '', id = ''] = /^(uid|gid)=(\d{1,10})$/.exec(word) ?? []
    if (key === '') faults.push(`options.o: ${word} needs options.type; without it there are uid=N and gid=N`)
    else owner = { ...owner, [key]: Number(id) }
  }
  return owner
}

function mountOf(
  fstype: string,
  words: readonly string[],
  given: Readonly<Record<string, string>>,
  faults: string[],
): LocalVolume {
  const device = given['device'] ?? ''
  if (!/^[a-z][a-z0-9_.]{0,31}$/.test(fstype))
    faults.push('options.type: must be a file system such as tmpfs, ext4 or nfs')
  if (fstype === 'bind' && !device.startsWith('/')) faults.push('options.device: must be the absolute path to bind')
  if (fstype !== 'bind' && fstype !== 'tmpfs' && device === '') {
    faults.push(`options.device: must say what ${fstype} is on: a device, an image file, or a server's path`)
  }
  if ([device, ...words].some((text) => text.includes('\0'))) faults.push('options: must hold no NUL characters')
  let attributes: VolumeMountAttributes = {}
  const options: string[] = []
  for (const word of words) {
    if (Object.hasOwn(mountFlags, word)) attributes = { ...attributes, ...mountFlags[word] }
    else if (word !== 'bind' && word !== 'rbind' && !ignored.has(word)) options.push(word)
  }
  if (fstype === 'bind' && options.length > 0) faults.push(`options.o: ${options.join(',')} has no effect on a bind`)
  return {
    mount: { fstype, device: device === '' ? fstype : device, attributes, recursive: words.includes('rbind'), options },
  }
}
