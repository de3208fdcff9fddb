/** The option `subIds` of a runtime. Pure. */
import type { SubIdFiles } from '../sys/read-sub-ids.js'
import { show } from '../schema/faults.js'

/** Where the ids of containers with `userns: 'auto'` come from. */
export interface SubIdOptions {
  /** Whose ranges: a name, or a uid as a text, of the files' lines. @default 'containers', as Podman has it for root */
  readonly owner?: string
  /** (subuid(5)) @default '/etc/subuid' */
  readonly subuid?: string
  /** (subgid(5)) @default '/etc/subgid' */
  readonly subgid?: string
}

export type SubIdSource = Required<SubIdFiles> & { readonly owner: string }

const defaults = { owner: 'containers', subuid: '/etc/subuid', subgid: '/etc/subgid' } as const

/** What is wrong with them, each with its path. */
export function subIdFaults(given: unknown): string[] {
  if (typeof given !== 'object' || given === null) return [`subIds: must be an object, got ${show(given)}`]
  return Object.entries(given).flatMap(([name, value]: [string, unknown]) => {
    if (!Object.hasOwn(defaults, name)) {
      return [`subIds.${name}: unknown option; there are ${Object.keys(defaults).join(', ')}`]
    }
    if (value === undefined) return []
    if (name === 'owner') {
      const isName = typeof value === 'string' && /^[^\s:\0]+$/.test(value)
      return isName ? [] : [`subIds.owner: must be the name of a user, got ${show(value)}`]
    }
    const isPath = typeof value === 'string' && value.startsWith('/') && !value.includes('\0')
    return isPath ? [] : [`subIds.${name}: must be an absolute path, got ${show(value)}`]
  })
}

/** Of options that have no faults. */
export function subIdSource({ owner, subuid, subgid }: SubIdOptions): SubIdSource {
  return {
    owner: owner ?? defaults.owner,
    subuid: subuid ?? defaults.subuid,
    subgid: subgid ?? defaults.subgid,
  }
}
