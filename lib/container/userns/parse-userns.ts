/** The options `userns`, `uidMap` and `gidMap`, by the words of podman-run(1). Pure. */
import { show, type Fault } from '../../schema/faults.js'
import type { ContainerOptions } from '../options.js'
import type { PodFacts } from '../parse-pod.js'
import type { UserNamespaceChoice } from './choice.js'
import { endOfIds, mapFault, type IdMapping } from './id-maps.js'
import type { IdMappingOption, UserNamespaceOption } from './options.js'

const modes = ['host', 'auto', 'keep-id', 'nomap', 'private', 'container'] as const
type Mode = (typeof modes)[number]

/** What belongs to a mode, by the word that podman-run(1) has for it. */
interface Words {
  readonly mode: Mode
  readonly size?: number
  readonly uid?: number
  readonly gid?: number
  readonly uidMapping?: readonly IdMapping[]
  readonly gidMapping?: readonly IdMapping[]
  readonly container?: string
}

const membersOf: Readonly<Record<Mode, readonly string[]>> = {
  host: [],
  auto: ['size', 'uidMapping', 'gidMapping'],
  'keep-id': ['uid', 'gid', 'size'],
  nomap: [],
  private: [],
  container: ['container'],
}

/** @param pod that the container is in */
export function parseUserNamespace(
  { userns, uidMap, gidMap, privileged }: Pick<ContainerOptions, 'userns' | 'uidMap' | 'gidMap' | 'privileged'>,
  faults: Fault[],
  pod?: Pick<PodFacts, 'name' | 'userns'>,
): UserNamespaceChoice | undefined {
  const count = faults.length
  const words = typeof userns === 'object' ? fromObject(userns, faults) : fromText(userns, faults)
  const uids = parseMap(uidMap, 'uidMap', faults)
  const gids = parseMap(gidMap, 'gidMap', faults)
  const fault = (path: string, message: string): void => void faults.push({ path, message })
  if (faults.length > count || words === undefined) return undefined
  const { mode } = words
  const maps = uids !== undefined || gids !== undefined
  if (maps && userns !== undefined && mode !== 'private')
    fault('userns', `must be 'private' or left out with uidMap and gidMap, got ${show(userns)}`)
  if (!maps && mode === 'private') fault('userns', `'private' needs uidMap or gidMap; 'auto' chooses ids by itself`)
  if (pod !== undefined && (maps || (userns !== undefined && (mode !== 'host' || pod.userns !== undefined))))
    fault(maps ? (uids === undefined ? 'gidMap' : 'uidMap') : 'userns', ofItsPod(pod))
  if (mode !== 'host' && privileged === true && mode === 'nomap')
    fault('userns', "'nomap' gives the host nothing, and privileged all of it; choose one")
  if (faults.length > count) return undefined
  if (maps) return { mode: 'private', uids: uids ?? gids ?? [], gids: gids ?? uids ?? [] }
  switch (mode) {
    case 'auto': {
      const { size, uidMapping = [], gidMapping = [] } = words
      return { mode, size, uidMapping, gidMapping }
    }
    case 'keep-id':
      return { mode, uid: words.uid, gid: words.gid, size: words.size }
    case 'nomap':
      return { mode }
    case 'container':
      return { mode, container: words.container ?? '' }
    default:
      return undefined
  }
}

/** The network and the other namespaces of a pod belong to one user namespace: in another, nobody could configure them. */
function ofItsPod({ name, userns }: Pick<PodFacts, 'name' | 'userns'>): string {
  return userns === undefined
    ? `must be left out: all containers of pod ${name} are in the host's user namespace; give it to pods.create`
    : `must be left out: all containers of pod ${name} share its user namespace, ${show(userns)}`
}

/** `auto:size=8192,uidmapping=0:1000:1`. */
function fromText(userns: string | undefined, faults: Fault[]): Words | undefined {
  if (userns === undefined) return { mode: 'host' }
  const [, container] = /^container:(.+)$/s.exec(userns) ?? []
  if (container !== undefined) return { mode: 'container', container }
  const [, mode = '', rest] = /^([^:]*)(?::(.*))?$/s.exec(userns) ?? []
  if (!isMode(mode) || mode === 'container') {
    faults.push({
      path: 'userns',
      message: `must be one of ${modes.map((one) => (one === 'container' ? `'container:NAME'` : `'${one}'`)).join(', ')}, got ${show(userns)}`,
    })
    return undefined
  }
  const words: { -readonly [K in keyof Words]: Words[K] } = { mode }
  if (rest === undefined) return words
  const count = faults.length
  for (const part of rest.split(',')) {
    const [, name = '', value = ''] = /^([a-z]+)=(.+)$/s.exec(part) ?? []
    const member = { uidmapping: 'uidMapping', gidmapping: 'gidMapping' }[name] ?? name
    const number = /^\d{1,10}$/.test(value) ? Number(value) : undefined
    const mapping = parseMapping(value)
    if (!membersOf[mode].includes(member)) {
      faults.push({ path: 'userns', message: `${mode} takes ${takes(mode)}, got ${show(part)}` })
    } else if (member === 'uidMapping' || member === 'gidMapping') {
      if (mapping === undefined) faults.push(mappingFault('userns', part))
      else words[member] = [...(words[member] ?? []), mapping]
    } else if (number === undefined || number >= endOfIds || (member === 'size' && number === 0)) {
      faults.push({ path: 'userns', message: `${name} must be a number of ids or an id, got ${show(part)}` })
    } else {
      words[member as 'size' | 'uid' | 'gid'] = number
    }
  }
  return faults.length > count ? undefined : words
}

function fromObject(userns: UserNamespaceOption, faults: Fault[]): Words | undefined {
  const others = Object.keys(userns).filter((name) => name !== 'mode' && !membersOf[userns.mode].includes(name))
  for (const name of others)
    faults.push({ path: `userns.${name}`, message: `${userns.mode} takes ${takes(userns.mode)}` })
  return others.length === 0 ? userns : undefined
}

function takes(mode: Mode): string {
  const members = membersOf[mode]
  return members.length === 0 ? 'nothing more' : `${members.join(', ').toLowerCase()} alone`
}

function isMode(text: string): text is Mode {
  return (modes as readonly string[]).includes(text)
}

/** @returns undefined when it isn't given, or has a fault */
function parseMap(
  given: readonly IdMappingOption[] | undefined,
  path: string,
  faults: Fault[],
): readonly IdMapping[] | undefined {
  if (given === undefined) return undefined
  const count = faults.length
  const map = given.flatMap((entry, index): IdMapping[] => {
    if (typeof entry !== 'string') return [entry]
    const mapping = parseMapping(entry)
    if (mapping === undefined) faults.push(mappingFault(`${path}[${String(index)}]`, entry))
    return mapping === undefined ? [] : [mapping]
  })
  if (faults.length > count) return undefined
  const fault = mapFault(map)
  if (fault === undefined) return map
  faults.push({ path, message: fault })
  return undefined
}

function mappingFault(path: string, text: string): Fault {
  return { path, message: `must be container:host:size such as '0:100000:65536', got ${show(text)}` }
}

/** `0:100000:65536`; without a size it is one id. */
function parseMapping(text: string): IdMapping | undefined {
  const match = /^(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?$/.exec(text)
  if (match === null) return undefined
  const [containerId, hostId, size] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 1)]
  return size > 0 ? { containerId, hostId, size } : undefined
}
