/** All that a new process does until its root is its own: what is mounted and made there, up to the pivot. Pure. */
import type { Spec } from '../oci-spec.js'
import { enterUser, hasUserNamespace } from '../outside.js'
import type { Operation } from '../operation.js'
import { borrowed, deviceOperations } from './devices.js'
import { hooksAt } from './hooks.js'
import type { LaunchInput } from './input.js'
import { attributeOperations } from './labels.js'
import { parseMountOptions } from './mount-options.js'
import { placeInit } from './init.js'
import { fillOperations, isEmptyDev, mountOperations } from './mounts.js'
import { scoreOperations, terminalOperations } from './process.js'

export function rootOperations({
  spec,
  init,
  root,
  cgroupMounts,
  stdio,
  mountSources = [],
  barrier,
  hooks,
  account,
  confined = false,
  flagsOfTop = false,
}: LaunchInput): Operation[] {
  const cut = /^r?(private|unbindable)$/.test(spec.linux?.rootfsPropagation ?? 'private')
  const sources = new Map(mountSources.map((source) => [source.destination, source]))
  const label = spec.linux?.mountLabel
  const mounts = (spec.mounts ?? []).flatMap((mount) =>
    mountOperations(mount, cgroupMounts, sources, { flagsOfTop, ...(label === undefined ? {} : { label }) }),
  )
  const users = hasUserNamespace(spec.linux ?? {})
  const { taken, rest } = takePeers(mounts)
  const before: Operation[] = [
    ...(users ? scoreOperations(spec.process) : []),
    ...taken,
    // The new namespace begins as a copy of the host's with its peer groups: cut them, or mounts made here show there.
    // `slave` rather than `private` would let the host's mounts still come in; only a shared or slave root asks for it.
    { op: 'propagation', mode: cut ? 'private' : 'slave' },
    ...mountSources.flatMap(({ prepare = [] }) => prepare),
    ...root,
    // From the image's own files, as nothing is mounted over them yet.
    ...fillOperations(mountSources),
  ]
  // In the image's own files, as nothing is mounted over them yet.
  const known: Operation[] = account === undefined ? [] : [{ op: 'account', ...account }]
  const devices = [
    ...deviceOperations(spec).map((operation) => (confined || users ? borrowed(operation) : operation)),
    ...(init ? placeInit(spec) : []),
  ]
  return [
    ...(users ? enterUser(before, [...known, ...rest, ...devices]) : [...before, ...known, ...rest, ...devices]),
    ...terminalOperations(spec.process, stdio, true),
    ...(readOnlyDev(spec) ? [{ op: 'mount-read-only', path: '/dev' } as const] : []),
    ...(barrier === 'before-pivot' ? [{ op: 'barrier' } as const] : []),
    ...hooksAt('createContainer', hooks),
    ...(spec.process === undefined ? [] : attributeOperations(spec.process)),
    { op: 'pivot-root' },
  ]
}

/**
 * Shared and slave binds stay peers of the host's mounts, so they are taken before the tree is cut off from these. What a
 * plan has no slot for fails there, with the operation that says so.
 */
function takePeers(mounts: readonly Operation[]): { taken: Operation[]; rest: Operation[] } {
  const taken: Operation[] = []
  const rest = mounts.map((mount): Operation => {
    if (mount.op !== 'bind' || (mount.propagation !== 'shared' && mount.propagation !== 'slave')) return mount
    const { source, subpath, recursive } = mount
    const slot = taken.length
    taken.push({ op: 'take', slot, source, recursive, ...(subpath === undefined ? {} : { subpath }) })
    return { ...mount, taken: slot }
  })
  return { taken, rest }
}

/** One that is to be read-only gets that with all in it: devices, links, and what is mounted below. */
function readOnlyDev({ mounts = [] }: Spec): boolean {
  return mounts.some(
    (mount) => isEmptyDev(mount) && parseMountOptions(mount.options ?? []).attributes.readOnly === true,
  )
}
