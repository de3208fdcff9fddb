/** One of `volumes`, in the words of podman-run(1)'s `--volume`, to a mount. Pure. */
import { show } from '../schema/faults.js'
import { volumeName, volumeNameWords } from '../storage/volumes/volume.js'
import type { IdMapOption } from './options.js'
import { cleanPath, isBelowRoot } from './mount-paths.js'
import type { MountExtras, MountRequest } from './mount-request.js'
import { checkWords, has, splitWords, type Report } from './mount-words.js'
import { idMappings, parseIdMapWord } from './parse-idmap.js'

const access = ['rw', 'ro']
const binding = ['bind', 'rbind']
const propagation = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared', 'unbindable', 'runbindable']
const devices = ['dev', 'nodev']
const programs = ['exec', 'noexec']
const setUid = ['suid', 'nosuid']
const labels = ['z', 'Z']
const owner = ['U']
const copying = ['copy', 'nocopy']
/** Words of `--volume`; of each group at most one. */
const groups = [access, binding, propagation, devices, programs, setUid, labels, owner, copying]
const laterWords = ['O', 'upperdir', 'workdir']
/** Those that say something to the kernel. */
const kernelWords = [access, binding, propagation, devices, programs, setUid].flat()

const shapes = "'/host:/path', 'name:/path' or '/path', each with ':options' where there are any"

export function parseVolume(value: string, report: Report): MountRequest | undefined {
  if (typeof value !== 'string') return undefined
  const parts = value.split(':')
  const [first = ''] = parts
  // '/path' alone is a volume of the container's own; podman-run(1) knows no options for it.
  const [source, target = '', words] = parts.length === 1 ? [undefined, first, undefined] : parts
  if (parts.length > 3 || first === '') {
    report(`must be ${shapes}, got ${show(value)}`)
    return undefined
  }
  if (source !== undefined && !source.startsWith('/') && !volumeName.test(source)) {
    report(
      source.startsWith('.') && source.includes('/')
        ? `must begin with an absolute path of the host, or with a volume's name, got ${show(value)}`
        : `must name a volume by ${volumeNameWords}, or begin with an absolute path of the host, got ${show(value)}`,
    )
    return undefined
  }
  if (!isBelowRoot(target)) {
    report(
      parts.length === 1
        ? `must be ${shapes}, got ${show(value)}`
        : `must have an absolute path below '/' after the ':', got ${show(value)}`,
    )
    return undefined
  }
  const all = splitWords(words)
  const idmap = all.filter((word) => word === 'idmap' || word.startsWith('idmap='))
  const options = all.filter((word) => !idmap.includes(word))
  if (!checkWords(options, groups, report, laterWords)) return undefined
  const ids = idmap.length === 0 ? undefined : parseIdMapWord(idmap.at(-1) ?? '', report)
  if (idmap.length > 0 && ids === undefined) return undefined
  const common = { destination: cleanPath(target), options, ids }
  if (source?.startsWith('/') === true) {
    const copies = options.find((word) => copying.includes(word))
    if (copies !== undefined) {
      report(`option ${copies} is for volumes, not for a path of the host`)
      return undefined
    }
    return bindOf(cleanPath(source), common)
  }
  return volumeOf(source, common)
}

interface Common {
  readonly destination: string
  readonly options: readonly string[]
  readonly ids: 'container' | IdMapOption | undefined
}

function bindOf(source: string, { destination, options, ids }: Common): MountRequest {
  const kernel = options.filter((word) => kernelWords.includes(word))
  const { idmap, ...mappings } = idMappings(ids)
  const extras = { ...ownership(options), ...(idmap === undefined ? {} : { idmap }) }
  return {
    destination,
    type: 'bind',
    source,
    options: [
      ...kernel,
      ...(has(options, access) ? [] : ['rw']),
      ...(has(options, propagation) ? [] : ['rprivate']),
      ...(has(options, binding) ? [] : ['rbind']),
    ],
    ...mappings,
    ...(Object.keys(extras).length === 0 ? {} : { extras }),
  }
}

/** Podman's defaults for a volume: its set-uid bits and devices have no effect unless asked for. */
function volumeOf(name: string | undefined, { destination, options, ids }: Common): MountRequest {
  const { idmap, ...mappings } = idMappings(ids)
  return {
    destination,
    type: 'bind',
    source: '',
    options: [
      ...options.filter((word) => kernelWords.includes(word)),
      ...(has(options, access) ? [] : ['rw']),
      ...(has(options, propagation) ? [] : ['rprivate']),
      ...(has(options, setUid) ? [] : ['nosuid']),
      ...(has(options, devices) ? [] : ['nodev']),
      ...(has(options, binding) ? [] : ['rbind']),
    ],
    ...mappings,
    extras: {
      ...(idmap === undefined ? {} : { idmap }),
      volume: { ...(name === undefined ? {} : { name }), copy: !options.includes('nocopy') },
      ...ownership(options),
    },
  }
}

function ownership(options: readonly string[]): Pick<MountExtras, 'chown' | 'relabel'> {
  return {
    ...(has(options, owner) ? { chown: true } : {}),
    ...(has(options, labels) ? { relabel: options.includes('Z') ? 'private' : 'shared' } : {}),
  }
}

/** A volume for a path that the image says is one (VOLUME of its Dockerfile). */
export function imageVolume(path: string): MountRequest {
  return volumeOf(undefined, { destination: cleanPath(path), options: [], ids: undefined })
}
