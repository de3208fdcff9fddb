import type { Spec, SpecNamespaceType } from '../oci-spec.js'
import type { Operation } from '../operation.js'

/** What is set for the namespaces as a whole, after the pivot: nothing of the host can be named any more. */
export function namespaceOperations(spec: Spec, network: readonly Operation[]): Operation[] {
  const linux = spec.linux ?? {}
  const own = (type: SpecNamespaceType) =>
    (linux.namespaces ?? []).some((namespace) => namespace.type === type && namespace.path === undefined)
  const operations: Operation[] = []
  if (own('network')) operations.push({ op: 'loopback-up' }, ...onceOnly(network))
  if (spec.hostname !== undefined) operations.push({ op: 'hostname', name: spec.hostname })
  if (spec.domainname !== undefined) operations.push({ op: 'domainname', name: spec.domainname })
  for (const [key, value] of Object.entries(linux.sysctl ?? {})) operations.push({ op: 'sysctl', key, value })
  for (const path of linux.readonlyPaths ?? []) operations.push({ op: 'read-only', path })
  const { mountLabel: label = '' } = linux
  for (const path of linux.maskedPaths ?? []) operations.push({ op: 'mask', path, ...(label === '' ? {} : { label }) })
  if (spec.root?.readonly) {
    // It can't be made any more behind it.
    if (spec.process !== undefined) operations.push({ op: 'chdir', path: spec.process.cwd, create: true })
    operations.push({ op: 'mount-read-only', path: '/' })
  }
  return operations
}

/** A container that is started again keeps its network as it is by then. */
function onceOnly(operations: readonly Operation[]): Operation[] {
  return operations.length === 0 ? [] : [{ op: 'once', operations: operations.length }, ...operations]
}
