/**
 * What of a start is done before the container's user namespace is entered. Inside, a process is root over nothing but the ids
 * that were given to it: it may neither look into directories of the host's root, nor map ids of a file system. Pure.
 */
import type { SpecLinux, SpecNamespaceType } from './oci-spec.js'
import type { Operation } from './operation.js'

/** Slots below are taken by those who share mounts with others. */
const firstSlot = 64

/** Whether a container has a user namespace whose ids are known. One that is joined by its path alone has none. */
export function hasUserNamespace({ namespaces = [], uidMappings = [] }: SpecLinux): boolean {
  const user: SpecNamespaceType = 'user'
  return uidMappings.length > 0 && namespaces.some(({ type }) => type === user)
}

/**
 * @param before all that makes the root
 * @param within what is mounted and made in it
 */
export function enterUser(before: readonly Operation[], within: readonly Operation[]): Operation[] {
  const taken: Operation[] = []
  const rest = within.map((operation): Operation => {
    if (operation.op !== 'bind') return operation
    if (operation.taken !== undefined) return receivingOnly(operation)
    const { source, subpath, recursive, owner, idMaps, ...bind } = operation
    const slot = firstSlot + taken.length
    taken.push({
      op: 'take',
      slot,
      source,
      recursive,
      ...(subpath === undefined ? {} : { subpath }),
      ...(owner === undefined ? {} : { owner }),
      ...(idMaps === undefined ? {} : { idMaps }),
    })
    return { ...bind, source, recursive, taken: slot, ...(subpath === undefined ? {} : { subpath }) }
  })
  return [...mappedOnce(before), ...taken, { op: 'enter-user' }, ...rest]
}

/**
 * What the host mounts there comes in. What the container's root mounts must not show on the host, whose root it is not: nor
 * does it with crun, where the kernel itself makes a shared mount one that receives alone (mount_namespaces(7)).
 */
function receivingOnly(bind: Extract<Operation, { op: 'bind' }>): Operation {
  return bind.propagation === 'shared' ? { ...bind, propagation: 'slave' } : bind
}

/** Roots of several images stand on the same directories, and a mount can't be mapped twice (mount_setattr(2), EPERM). */
function mappedOnce(operations: readonly Operation[]): Operation[] {
  const mapped = new Set<string>()
  return operations.filter((operation) => {
    if (operation.op === 'mount') mapped.delete(operation.target)
    if (operation.op !== 'map-ids') return true
    const again = mapped.has(operation.path)
    mapped.add(operation.path)
    return !again
  })
}
