/**
 * The capabilities of a process that can be granted. "Any value which cannot be mapped to a relevant kernel interface, or
 * cannot be granted otherwise MUST be logged as a warning by the runtime. Runtimes SHOULD NOT fail" (config.md, "Linux
 * Process"). Pure.
 */
import { capabilityNames } from '../security/capabilities.js'
import type { SpecCapabilities, SpecProcess } from '../launch/oci-spec.js'

const sets = ['bounding', 'effective', 'inheritable', 'permitted', 'ambient'] as const

export function grantable(process: SpecProcess, warn: (message: string) => void): SpecProcess {
  const { capabilities } = process
  if (capabilities === undefined) return process
  const known = new Set<string>(capabilityNames)
  const unknown = new Set(sets.flatMap((set) => (capabilities[set] ?? []).filter((name) => !known.has(name))))
  if (unknown.size > 0) warn(`ignoring unknown or unavailable capabilities: [${[...unknown].join(' ')}]`)
  const kept: SpecCapabilities = Object.fromEntries(
    sets.map((set) => [set, (capabilities[set] ?? []).filter((name) => known.has(name))]),
  )
  const { permitted = [], inheritable = [], ambient = [] } = kept
  // The kernel raises no other in the ambient set (capabilities(7)).
  const raised = ambient.filter((name) => permitted.includes(name) && inheritable.includes(name))
  return { ...process, capabilities: { ...kept, ambient: raised } }
}
