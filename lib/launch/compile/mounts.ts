/** One mount of a spec → the operations that make it. Pure. */
import type { SpecMount } from '../oci-spec.js'
import type { Operation } from '../operation.js'
import type { Plan } from '../plan.js'
import type { LaunchInput, MountSource } from './input.js'
import { labelledMount } from './labels.js'
import { parseMountOptions } from './mount-options.js'

export function mountOperations(
  mount: SpecMount,
  cgroupMounts: LaunchInput['cgroupMounts'],
  sources: ReadonlyMap<string, MountSource>,
  { label = '', flagsOfTop = false }: { readonly label?: string; readonly flagsOfTop?: boolean } = {},
): Operation[] {
  const { attributes, recursive, propagation, bind, copyUp, data } = parseMountOptions(mount.options ?? [])
  const target = mount.destination
  if (mount.type === 'cgroup' || mount.type === 'cgroup2') {
    return cgroupOperations(target, cgroupMounts, attributes.readOnly ?? false, label)
  }
  if (isBind(mount)) {
    const { source = mount.source ?? '', subpath, taken, owner, relabel } = sources.get(target) ?? {}
    return [
      {
        op: 'bind',
        source,
        ...(subpath === undefined ? {} : { subpath }),
        target,
        recursive: bind !== 'bind',
        ...(flagsOfTop && bind === 'rbind' ? { attributes: recursive, top: attributes } : { attributes }),
        ...(propagation === undefined ? {} : { propagation }),
        ...(taken === undefined ? {} : { taken }),
        ...(owner === undefined ? {} : { owner }),
        ...(relabel === undefined ? {} : { relabel }),
        ...idMaps(mount),
      },
    ]
  }
  const fstype = mount.type ?? 'none'
  const source = mount.source ?? fstype
  const first = isEmptyDev(mount) ? { ...attributes, readOnly: false } : attributes
  return [
    labelledMount(
      { op: 'mount', fstype, source, target, attributes: first, options: data, ...(copyUp ? { copyUp } : {}) },
      label,
    ),
  ]
}

/**
 * The container's own cgroups, where programs look for their limits. In hybrid and v1 layouts they are one bind per
 * hierarchy on a small tmpfs; the cgroup namespace makes /proc/self/cgroup agree with it.
 */
function cgroupOperations(
  target: string,
  mounts: LaunchInput['cgroupMounts'],
  readOnly: boolean,
  label: string,
): Operation[] {
  const hardened = { readOnly, noSuid: true, noDev: true, noExec: true } as const
  const bind = (name: string, source: string): Operation => ({
    op: 'bind',
    source,
    target: name === '' ? target : `${target}/${name}`,
    recursive: false,
    attributes: hardened,
  })
  const [first] = mounts
  if (first === undefined) return []
  if (first.name === '') return [bind('', first.source)]
  return [
    labelledMount(
      {
        op: 'mount',
        fstype: 'tmpfs',
        source: 'tmpfs',
        target,
        attributes: { ...hardened, readOnly: false },
        options: ['mode=755', 'size=64k'],
      },
      label,
    ),
    ...mounts.map(({ name, source }) => bind(name, source)),
    ...(readOnly ? [{ op: 'mount-read-only', path: target } as const] : []),
  ]
}

export function fillOperations(sources: readonly MountSource[]): Operation[] {
  return sources.flatMap(({ destination, fill }) =>
    fill === undefined ? [] : [{ op: 'fill', target: destination, ...fill }],
  )
}

export function idMaps(linux: Pick<SpecMount, 'uidMappings' | 'gidMappings'>): Pick<Plan, 'idMaps'> {
  const text = (maps: readonly { containerID: number; hostID: number; size: number }[]) =>
    maps.map(({ containerID, hostID, size }) => `${String(containerID)} ${String(hostID)} ${String(size)}\n`).join('')
  if (linux.uidMappings === undefined || linux.uidMappings.length === 0) return {}
  return { idMaps: { uid: text(linux.uidMappings), gid: text(linux.gidMappings ?? []) } }
}

/** By its options or by its type, which says nothing more then. */
function isBind({ type, options = [] }: SpecMount): boolean {
  return type === 'bind' || parseMountOptions(options).bind !== undefined
}

/** A file system at /dev, and not what somebody else has there. */
export function isDev(mount: SpecMount): boolean {
  return /^\/dev\/?$/.test(mount.destination) && !isBind(mount)
}

/** One that begins empty, and is made read-only once it is filled. */
export function isEmptyDev(mount: SpecMount): boolean {
  return isDev(mount) && mount.type === 'tmpfs'
}
