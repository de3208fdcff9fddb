/** `mounts`, `volumes` and `tmpfs` to the mounts of an OCI spec, with Podman's defaults. Pure. */
import { faultFinder, joinPath, show, type Fault, under } from '../schema/faults.js'
import { cleanPath, isBelowRoot } from './mount-paths.js'
import type { MountExtras, MountRequest } from './mount-request.js'
import { checkWords, has, splitWords, type Report } from './mount-words.js'
import type {
  BindMountOption,
  ContainerOptions,
  IdMapOption,
  ImageMountOption,
  MountFlagOptions,
  MountOwnerOptions,
  TmpfsMountOption,
  VolumeMountOption,
} from './options.js'
import { mountSchemas, optionKeywords, parseMode } from './options-schema.js'
import { idMapFault, idMappings } from './parse-idmap.js'
import { parseVolume } from './parse-volume.js'
import { parseSize } from '../schema/quantities.js'

const kinds = ['bind', 'tmpfs', 'volume', 'image'] as const
type Kind = (typeof kinds)[number]

const findFaults: Readonly<Record<Kind, (value: unknown) => Fault[]>> = {
  bind: faultFinder(mountSchemas.bind, optionKeywords),
  tmpfs: faultFinder(mountSchemas.tmpfs, optionKeywords),
  volume: faultFinder(mountSchemas.volume, optionKeywords),
  image: faultFinder(mountSchemas.image, optionKeywords),
}

/** A mount, and the option that asked for it. */
interface Asked {
  readonly at: string
  readonly mount: MountRequest
}

/** The mounts, parents before what lies below them. What is wrong goes to `faults`. */
export function parseMounts(options: ContainerOptions, faults: Fault[]): MountRequest[] {
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
  const depth = ({ destination }: MountRequest): number => destination.split('/').length
  return asked.map(({ mount }) => mount).sort((a, b) => depth(a) - depth(b))
}

function each<T>(
  values: readonly T[] | undefined,
  option: string,
  faults: Fault[],
  parse: (value: T, report: Report, at: string, faults: Fault[]) => MountRequest | undefined,
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

function parseMount(value: unknown, report: Report, at: string, faults: Fault[]): MountRequest | undefined {
  const type = (value as { type?: unknown } | null)?.type
  const kind = kinds.find((known) => known === type)
  if (kind === undefined) {
    // A missing or misshapen one has been told of by the schema of all options.
    if (typeof type === 'string') report(`type must be 'bind', 'volume', 'image' or 'tmpfs', got ${show(type)}`)
    return undefined
  }
  const wrong = findFaults[kind](value)
  faults.push(...wrong.map((fault) => under(at, fault)))
  if (wrong.length > 0) return undefined
  const { idmap } = value as { readonly idmap?: 'container' | IdMapOption }
  const fault = idmap === undefined || idmap === 'container' ? undefined : idMapFault(idmap)
  if (fault !== undefined) faults.push({ path: `${at}.idmap`, message: fault })
  switch (kind) {
    case 'bind':
      return bindMount(value as BindMountOption)
    case 'volume':
      return volumeMount(value as VolumeMountOption)
    case 'image':
      return imageMount(value as ImageMountOption)
    case 'tmpfs':
      return tmpfsMount(value as TmpfsMountOption)
  }
}

function bindMount(option: BindMountOption): MountRequest {
  const { idmap, ...mappings } = idMappings(option.idmap)
  const extras = { ...ownership(option), ...(idmap === undefined ? {} : { idmap }) }
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
    ...mappings,
    ...(Object.keys(extras).length === 0 ? {} : { extras }),
  }
}

function ownership({ chown, relabel }: MountOwnerOptions): Pick<MountExtras, 'chown' | 'relabel'> {
  return { ...(chown === true ? { chown } : {}), ...(relabel === undefined ? {} : { relabel }) }
}

function volumeMount(option: VolumeMountOption): MountRequest {
  const { source, subpath } = option
  const { idmap, ...mappings } = idMappings(option.idmap)
  return {
    destination: cleanPath(option.target),
    type: 'bind',
    source: '',
    options: ['rbind', 'rprivate', option.readOnly === true ? 'ro' : 'rw', ...flagWords(option, ['nosuid', 'nodev'])],
    ...mappings,
    extras: {
      ...(idmap === undefined ? {} : { idmap }),
      volume: {
        ...(source === undefined ? {} : { name: source }),
        // What the image has at the target is a whole volume's beginning, not that of a part of one.
        copy: option.noCopy !== true && subpath === undefined,
      },
      ...(subpath === undefined ? {} : { subpath }),
      ...ownership(option),
    },
  }
}

function imageMount(option: ImageMountOption): MountRequest {
  const { source, target, subpath, readOnly = true } = option
  return {
    destination: cleanPath(target),
    type: 'bind',
    source: '',
    options: ['bind', 'rprivate', readOnly ? 'ro' : 'rw', ...flagWords(option, ['nosuid', 'nodev'])],
    extras: { image: source, ...(subpath === undefined ? {} : { subpath }) },
  }
}

function tmpfsMount(option: TmpfsMountOption): MountRequest {
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

const access = ['rw', 'ro']
const devices = ['dev', 'nodev']
const setUid = ['suid', 'nosuid']
const tmpfsWords = [
  access,
  devices,
  ['exec', 'noexec'],
  setUid,
  ['tmpcopyup', 'notmpcopyup'],
  ['noatime', 'relatime', 'strictatime'],
]
/** Options of tmpfs(5) itself. */
const tmpfsData =
  /^(size=\d+[kmg%]?|mode=0?[0-7]{1,4}|uid=\d+|gid=\d+|nr_inodes=\d+[kmg]?|nr_blocks=\d+[kmg]?|huge=(never|always|within_size|advise))$/i

function parseTmpfs(value: string, report: Report): MountRequest | undefined {
  if (typeof value !== 'string') return undefined
  const [target = '', words, ...rest] = value.split(':')
  if (!isBelowRoot(target) || rest.length > 0) {
    report(`must be '/path' or '/path:size=64m,mode=700', with a path below '/', got ${show(value)}`)
    return
  }
  const all = splitWords(words)
  const options = all.filter((word) => !tmpfsData.test(word))
  if (!checkWords(options, tmpfsWords, report)) return undefined
  return {
    destination: cleanPath(target),
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      ...all.filter((word) => word !== 'notmpcopyup' && word !== 'tmpcopyup'),
      ...(has(options, access) ? [] : ['rw']),
      'rprivate',
      ...(has(options, setUid) ? [] : ['nosuid']),
      ...(has(options, devices) ? [] : ['nodev']),
      ...(options.includes('notmpcopyup') ? [] : ['tmpcopyup']),
    ],
  }
}
