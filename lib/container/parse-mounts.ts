/** `mounts`, `volumes` and `tmpfs` to the mounts of an OCI spec, with Podman's defaults. Pure. */
import { posix } from 'node:path'
import { faultFinder, joinPath, show, type Fault, under } from '../schema/faults.js'
import type { SpecMount } from '../launch/oci-spec.js'
import { nearestName } from '../schema/nearest-name.js'
import type { BindMountOption, ContainerOptions, MountFlagOptions, TmpfsMountOption } from './options.js'
import { mountSchemas, optionKeywords, parseMode } from './options-schema.js'
import { parseSize } from './quantities.js'

const findFaults = {
  bind: faultFinder(mountSchemas.bind, optionKeywords),
  tmpfs: faultFinder(mountSchemas.tmpfs, optionKeywords),
}

/** Tells of a mistake; returns undefined, since there is no mount then. */
type Report = (message: string) => undefined

/** A mount, and the option that asked for it. */
interface Asked {
  readonly at: string
  readonly mount: SpecMount
}

/** The mounts, parents before what lies below them. What is wrong goes to `faults`. */
export function parseMounts(options: ContainerOptions, faults: Fault[]): SpecMount[] {
  const asked = [
    ...each(options.mounts, 'mounts', faults, parseMount),
    ...each(options.volumes, 'volumes', faults, parseVolume),
    ...each(options.tmpfs, 'tmpfs', faults, parseTmpfs),
  ]
  const seen = new Map<string, string>()
  for (const { at, mount } of asked) {
    const other = seen.get(mount.destination)
    if (other === undefined) seen.set(mount.destination, at)
    else faults.push({ path: at, message: `mounts at ${mount.destination}, where ${other} does too` })
  }
  for (const { at, mount } of asked) {
    // What the kernel says of processes must come from the kernel: a fake file there can undo the masks and labels.
    if (/^\/proc(\/|$)/.test(mount.destination)) {
      faults.push({ path: at, message: `can't mount at ${mount.destination}: /proc is the kernel's` })
    }
  }
  const depth = ({ destination }: SpecMount): number => destination.split('/').length
  return asked.map(({ mount }) => mount).sort((a, b) => depth(a) - depth(b))
}

function each<T>(
  values: readonly T[] | undefined,
  option: string,
  faults: Fault[],
  parse: (value: T, report: Report, at: string, faults: Fault[]) => SpecMount | undefined,
): Asked[] {
  if (!Array.isArray(values)) return []
  return (values as readonly T[]).flatMap((value, index) => {
    const at = joinPath([option, String(index)])
    const report: Report = (message) => {
      faults.push({ path: at, message })
      return undefined
    }
    const mount = parse(value, report, at, faults)
    return mount === undefined ? [] : [{ at, mount }]
  })
}

function parseMount(value: unknown, report: Report, at: string, faults: Fault[]): SpecMount | undefined {
  const type = (value as { type?: unknown } | null)?.type
  if (type === 'volume' || type === 'image') {
    report(`mounts of type ${show(type)} are not supported by this version`)
    return
  }
  if (type !== 'bind' && type !== 'tmpfs') {
    // A missing or misshapen one has been told of by the schema of all options.
    if (typeof type === 'string') report(`type must be 'bind' or 'tmpfs', got ${show(type)}`)
    return undefined
  }
  const wrong = findFaults[type](value)
  faults.push(...wrong.map((fault) => under(at, fault)))
  if (wrong.length > 0) return undefined
  return type === 'bind' ? bindMount(value as BindMountOption) : tmpfsMount(value as TmpfsMountOption)
}

function bindMount(option: BindMountOption): SpecMount {
  return {
    destination: cleanPath(option.target),
    type: 'bind',
    source: cleanPath(option.source),
    options: [
      option.recursive === false ? 'bind' : 'rbind',
      `r${option.propagation ?? 'private'}`,
      option.readOnly === true ? 'ro' : 'rw',
      ...flagWords(option, []),
    ],
  }
}

function tmpfsMount(option: TmpfsMountOption): SpecMount {
  const size = option.size === undefined ? undefined : parseSize(option.size)
  const mode = option.mode === undefined ? undefined : parseMode(option.mode)
  return {
    destination: cleanPath(option.target),
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      ...(size === undefined ? [] : [`size=${String(size)}`]),
      ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
      option.readOnly === true ? 'ro' : 'rw',
      'rprivate',
      ...flagWords(option, ['nosuid', 'nodev']),
      'tmpcopyup',
    ],
  }
}

function flagWords(option: MountFlagOptions, defaults: readonly string[]): string[] {
  const word = (name: string, value: boolean | undefined): string[] =>
    (value ?? defaults.includes(`no${name}`)) ? [`no${name}`] : []
  return [...word('suid', option.noSuid), ...word('dev', option.noDev), ...word('exec', option.noExec)]
}

/** Words of `--volume`; of each group at most one. */
const volumeWords: readonly (readonly string[])[] = [
  ['rw', 'ro'],
  ['bind', 'rbind'],
  ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared', 'unbindable', 'runbindable'],
  ['dev', 'nodev'],
  ['exec', 'noexec'],
  ['suid', 'nosuid'],
]
const laterVolumeWords = ['z', 'Z', 'U', 'O', 'copy', 'nocopy', 'idmap', 'upperdir', 'workdir']

function parseVolume(value: string, report: Report): SpecMount | undefined {
  if (typeof value !== 'string') return undefined
  const [source = '', target, words, ...rest] = value.split(':')
  if (!source.startsWith('/')) {
    report(
      source.startsWith('.') || target === undefined
        ? `must be '/host:/path' or '/host:/path:options', got ${show(value)}`
        : `named volumes are not supported by this version; give a host path that starts with '/', got ${show(value)}`,
    )
    return
  }
  if (target === undefined || rest.length > 0) {
    report(`must be '/host:/path' or '/host:/path:options', got ${show(value)}`)
    return
  }
  if (!below(target)) {
    report(`must have an absolute path below '/' after the ':', got ${show(value)}`)
    return
  }
  const options = words === undefined ? [] : words.split(',').filter((word) => word !== '')
  if (!checkWords(options, volumeWords, report, laterVolumeWords)) return undefined
  const has = (group: number): boolean => options.some((word) => volumeWords[group]?.includes(word))
  return {
    destination: cleanPath(target),
    type: 'bind',
    source: cleanPath(source),
    options: [...options, ...(has(0) ? [] : ['rw']), ...(has(2) ? [] : ['rprivate']), ...(has(1) ? [] : ['rbind'])],
  }
}

const tmpfsWords: readonly (readonly string[])[] = [
  ['rw', 'ro'],
  ['dev', 'nodev'],
  ['exec', 'noexec'],
  ['suid', 'nosuid'],
  ['tmpcopyup', 'notmpcopyup'],
  ['noatime', 'relatime', 'strictatime'],
]
/** Options of tmpfs(5) itself. */
const tmpfsData =
  /^(size=\d+[kmg%]?|mode=0?[0-7]{1,4}|uid=\d+|gid=\d+|nr_inodes=\d+[kmg]?|nr_blocks=\d+[kmg]?|huge=(never|always|within_size|advise))$/i

function parseTmpfs(value: string, report: Report): SpecMount | undefined {
  if (typeof value !== 'string') return undefined
  const [target = '', words, ...rest] = value.split(':')
  if (!below(target) || rest.length > 0) {
    report(`must be '/path' or '/path:size=64m,mode=700', with a path below '/', got ${show(value)}`)
    return
  }
  const all = words === undefined ? [] : words.split(',').filter((word) => word !== '')
  const options = all.filter((word) => !tmpfsData.test(word))
  if (!checkWords(options, tmpfsWords, report, [])) return undefined
  const has = (group: number): boolean => options.some((word) => tmpfsWords[group]?.includes(word))
  return {
    destination: cleanPath(target),
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      ...all.filter((word) => word !== 'notmpcopyup' && word !== 'tmpcopyup'),
      ...(has(0) ? [] : ['rw']),
      'rprivate',
      ...(has(3) ? [] : ['nosuid']),
      ...(has(1) ? [] : ['nodev']),
      ...(options.includes('notmpcopyup') ? [] : ['tmpcopyup']),
    ],
  }
}

function checkWords(
  words: readonly string[],
  groups: readonly (readonly string[])[],
  report: Report,
  later: readonly string[],
): boolean {
  let right = true
  const wrong = (message: string): void => {
    report(message)
    right = false
  }
  for (const word of words) {
    const key = word.replace(/=.*/, '')
    if (groups.some((group) => group.includes(word))) continue
    const near = nearestName(word, groups.flat())
    if (later.includes(key)) wrong(`option ${show(word)} is not supported by this version`)
    else wrong(`unknown mount option ${show(word)}${near === undefined ? '' : `; did you mean ${near}?`}`)
  }
  for (const group of groups) {
    const chosen = words.filter((word) => group.includes(word))
    if (chosen.length > 1) wrong(`options ${chosen.join(' and ')} contradict each other`)
  }
  return right
}

/** Without `.`, `..`, double and trailing slashes, so that the same place has one name. */
function cleanPath(path: string): string {
  return posix.resolve('/', path)
}

function below(path: string): boolean {
  return path.startsWith('/') && cleanPath(path) !== '/'
}
