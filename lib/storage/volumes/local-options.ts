/** The options of the driver `local`: `type`, `device` and `o`, as those of Docker's and Podman's. Pure. */
import { PodlingError } from '../../errors.js'
import { nearestName } from '../../schema/nearest-name.js'
import { show } from '../../schema/faults.js'
import { parseSize, sizeWords } from '../../schema/quantities.js'
import type { QuotaLimits } from '../quotas/quotas.js'
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

/** A local volume: whose its directory is and how much may be in it, or what is mounted. */
export interface LocalVolume {
  readonly uid?: number
  readonly gid?: number
  readonly quota?: QuotaLimits
  readonly mount?: LocalMount
}

const known = ['type', 'device', 'o', 'size', 'inodes']

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
  const volume =
    type === undefined || type === '' ? directoryOf(words, given, faults) : mountOf(type, words, given, faults)
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', `create volume ${name}: ${faults.join('; ')}`)
  return volume
}

function directoryOf(words: readonly string[], given: Readonly<Record<string, string>>, faults: string[]): LocalVolume {
  if (given['device'] !== undefined)
    faults.push("options.device: has no effect without options.type, or options.o: 'bind'")
  let owner: LocalVolume = {}
  const limits = { size: given['size'], inodes: given['inodes'] }
  for (const word of words) {
    const [, key = '', id = ''] = /^(uid|gid)=(\d{1,10})$/.exec(word) ?? []
    const [, limit, value] = /^(size|inodes)=(.*)$/.exec(word) ?? []
    if (limit !== undefined) limits[limit as keyof typeof limits] = value
    else if (key !== '') owner = { ...owner, [key]: Number(id) }
    else {
      faults.push(`options.o: ${word} needs options.type; without it there are uid=N, gid=N, size=SIZE and inodes=N`)
    }
  }
  const quota = quotaOf(limits, faults)
  return quota === undefined ? owner : { ...owner, quota }
}

function quotaOf(
  { size, inodes }: Readonly<Record<'size' | 'inodes', string | undefined>>,
  faults: string[],
): QuotaLimits | undefined {
  if (size === undefined && inodes === undefined) return undefined
  const bytes = parseSize(size)
  if (size !== undefined && !bytes) faults.push(`options.size: must be ${sizeWords}, got ${show(size)}`)
  const count = Number(inodes)
  if (inodes !== undefined && !(/^\d{1,15}$/.test(inodes) && count > 0))
    faults.push(`options.inodes: must be a number of inodes, got ${show(inodes)}`)
  return { ...(bytes === undefined ? {} : { size: bytes }), ...(inodes === undefined ? {} : { inodes: count }) }
}

function mountOf(
  fstype: string,
  words: readonly string[],
  given: Readonly<Record<string, string>>,
  faults: string[],
): LocalVolume {
  const device = given['device'] ?? ''
  for (const key of ['size', 'inodes']) {
    if (given[key] !== undefined)
      faults.push(
        `options.${key}: is for a volume without options.type; here say what ${fstype} has for it in options.o`,
      )
  }
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
