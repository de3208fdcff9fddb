/** The five sets of capabilities(7) that a container and its commands get: those that Podman gives. Pure. */
import { PodlingError } from '../errors.js'
import type { SpecCapabilities, SpecProcess } from '../launch/oci-spec.js'
import {
  capabilityNames,
  findCapability,
  isAll,
  mergeCapabilities,
  unknownCapability,
  type CapabilityName,
} from '../security/capabilities.js'

/** By this label an image says which of the capabilities it could have are enough for it, apart by commas. */
export const capabilitiesLabel = 'io.containers.capabilities'

export interface CapabilityWishes {
  readonly privileged: boolean
  readonly capAdd: readonly (CapabilityName | 'ALL')[]
  readonly capDrop: readonly (CapabilityName | 'ALL')[]
  /** Of the image and the options. */
  readonly labels: Readonly<Record<string, string>>
  /** As the options or the image give it; empty for root. */
  readonly user: string
  /** What the host can give. @default all */
  readonly available?: readonly CapabilityName[]
}

/**
 * Root gets the set whole. Others get nothing but what was asked for by name, and that as ambient capabilities, so that
 * it outlives the exec.
 * @throws PodlingError `CAPABILITY_UNKNOWN` for what the image's label names
 */
export function containerCapabilities(wishes: CapabilityWishes): SpecCapabilities {
  const { available = capabilityNames, capAdd, capDrop, user } = wishes
  const bounding = wishes.privileged
    ? [...available]
    : enough(mergeCapabilities({ add: capAdd, drop: capDrop, available }), wishes.labels)
  if (isRoot(user)) return ofRoot(bounding)
  // What is dropped or not enough for anybody can't be one user's: the kernel refuses it (capset(2)).
  return ofOthers(bounding, mergeCapabilities({ base: [], add: capAdd, drop: [], available: bounding }))
}

/**
 * Those of a command that is brought in. The container's own user has what it has there, whoever else isn't root has
 * nothing, and `privileged` raises what root has and no more than the bounding set of others.
 * @param own the container's process
 * @param available what the host can give
 */
export function execCapabilities(
  own: SpecProcess,
  { user, privileged = false }: { readonly user?: string; readonly privileged?: boolean },
  available: readonly string[],
): SpecCapabilities {
  const sets = own.capabilities ?? {}
  if (user === undefined && !privileged) return sets
  const bounding = privileged ? available : (sets.bounding ?? [])
  if (isRoot(user ?? own.user.username ?? '')) return ofRoot(bounding)
  const same = user === undefined || user === own.user.username
  return ofOthers(bounding, same ? (sets.ambient ?? []) : [])
}

/** Whether a user, as the options or the image give it, is root. */
export function isRoot(user: string): boolean {
  return ['', '0', 'root'].includes(user.split(':')[0] ?? '')
}

/** An image may ask for less than it would get; one that asks for more gets what it would get anyway. */
function enough(
  merged: readonly CapabilityName[],
  { [capabilitiesLabel]: label }: CapabilityWishes['labels'],
): readonly CapabilityName[] {
  if (label === undefined) return merged
  const asked = label.split(',').map((text) => text.trim())
  if (asked.some(isAll)) return merged
  const names = asked.filter((text) => text !== '').map(named)
  return names.every((name) => merged.includes(name)) ? [...new Set(names)].sort() : merged
}

function named(text: string): CapabilityName {
  const name = findCapability(text)
  if (name !== undefined) return name
  throw new PodlingError(
    'CAPABILITY_UNKNOWN',
    `the label ${capabilitiesLabel}: ${unknownCapability(text)}; give the container a label of that name which is right`,
  )
}

function ofRoot(bounding: readonly string[]): SpecCapabilities {
  return { bounding, effective: bounding, permitted: bounding, inheritable: [], ambient: [] }
}

function ofOthers(bounding: readonly string[], kept: readonly string[]): SpecCapabilities {
  return { bounding, effective: kept, permitted: kept, inheritable: kept, ambient: kept }
}
