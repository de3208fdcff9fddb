/** Which namespace a path leads to. */
import { statSync, type BigIntStats } from 'node:fs'
import type { SpecNamespace } from '../launch/oci-spec.js'

const links = { network: 'net', mount: 'mnt' } as const

/** Is it the one that this process is in? */
export function isOwnNamespace({ type, path }: SpecNamespace): boolean {
  const link = type === 'network' || type === 'mount' ? links[type] : type
  return path !== undefined && isSameNamespace(namespaceAt(path), namespaceAt(`/proc/self/ns/${link}`))
}

export function namespaceAt(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true })
  } catch {
    return undefined // Gone by now, or none of ours to look at.
  }
}

export function isSameNamespace(one: BigIntStats | undefined, other: BigIntStats | undefined): boolean {
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}
