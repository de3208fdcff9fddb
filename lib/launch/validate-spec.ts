/** Is this a spec of the OCI runtime specification that can be run? All faults at once. Pure. */
import { PodlingError } from '../errors.js'
import { formatExactJson, parseExactJson } from '../schema/exact-json.js'
import { faultFinder, formatFaults, show, type Fault, type FaultKeyword } from '../schema/faults.js'
import { listenerFaults, uint64Fault } from '../security/seccomp-profile.js'
import type { Spec } from './oci-spec.js'
import { specSchema } from './oci-spec-schema.js'

const keywords: readonly FaultKeyword[] = [
  { keyword: 'uint64', fault: uint64Fault },
  {
    keyword: 'noNul',
    type: 'string',
    fault: (value) => (String(value).includes('\0') ? 'must be without NUL characters' : undefined),
  },
]

const findFaults = faultFinder(specSchema, keywords)

/**
 * Assert that a value is a spec: its shape, and the rules that tie its parts together.
 * @throws PodlingError `SPEC_INVALID`, with every fault and its path: `process.cwd: must be an absolute path, got 'app'`
 */
export function validateSpec(value: unknown, what = 'OCI spec'): asserts value is Spec {
  const faults = findFaults(value)
  if (faults.length === 0) faults.push(...ruleFaults(value as Spec))
  if (faults.length > 0) throw new PodlingError('SPEC_INVALID', formatFaults(what, faults))
}

/**
 * Read the text of a config.json, of which a program reads few; numbers of seccomp rules stay exact.
 * @throws PodlingError `SPEC_INVALID`
 */
export function parseSpec(text: string, what = 'config.json'): Spec {
  let value: unknown
  try {
    value = parseExactJson(text, new Set(['value', 'valueTwo']))
  } catch (cause) {
    throw new PodlingError('SPEC_INVALID', `${what} is no JSON: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
    })
  }
  const spec = withoutBlanks(value)
  validateSpec(spec, what)
  return spec
}

/** The text of a config.json, with exact numbers. */
export function formatSpec(spec: Spec): string {
  return `${formatExactJson(spec, 2)}\n`
}

/** Members that some Go programs write empty where they mean none. */
const blankIsAbsent = new Set(['path', 'type', 'rootfsPropagation', 'cgroupsPath', 'source'])

/** Go writes null for an empty list or map, and where it isn't told otherwise, an empty text. */
function withoutBlanks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBlanks)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, part]) => part !== null && !(part === '' && blankIsAbsent.has(key)))
      .map(([key, part]) => [key, key === 'annotations' ? part : withoutBlanks(part)]),
  )
}

function ruleFaults(spec: Spec): Fault[] {
  const { linux = {}, process, mounts = [] } = spec
  const namespaces = (linux.namespaces ?? []).map(({ type }) => type)
  const faults: Fault[] = [
    ...duplicates('linux.namespaces', 'type', namespaces),
    ...duplicates(
      'process.rlimits',
      'type',
      (process?.rlimits ?? []).map(({ type }) => type),
    ),
  ]
  if (spec.root === undefined) faults.push({ path: 'root', message: 'is required' })
  if (spec.hostname !== undefined && !namespaces.includes('uts')) {
    faults.push({
      path: 'hostname',
      message: 'needs a uts namespace in linux.namespaces; without one it would rename the host',
    })
  }
  if (spec.domainname !== undefined && !namespaces.includes('uts')) {
    faults.push({
      path: 'domainname',
      message: 'needs a uts namespace in linux.namespaces; without one it would rename the host',
    })
  }
  for (const [index, { soft, hard }] of (process?.rlimits ?? []).entries()) {
    if (soft <= hard) continue
    faults.push({
      path: `process.rlimits[${String(index)}].soft`,
      message: `must not be above hard, got ${show(soft)}`,
    })
  }
  for (const [index, { uidMappings, gidMappings }] of mounts.entries()) {
    if ((uidMappings === undefined) === (gidMappings === undefined)) continue
    faults.push({ path: `mounts[${String(index)}]`, message: 'must have uidMappings and gidMappings, or neither' })
  }
  const { burst, quota } = linux.resources?.cpu ?? {}
  if (burst !== undefined && quota !== undefined && quota > 0 && burst > quota) {
    faults.push({ path: 'linux.resources.cpu.burst', message: `must not be above quota, got ${show(burst)}` })
  }
  if (linux.seccomp !== undefined) faults.push(...listenerFaults(linux.seccomp, 'linux.seccomp.'))
  if (linux.uidMappings?.length && !namespaces.includes('user')) {
    faults.push({ path: 'linux.uidMappings', message: 'needs a user namespace in linux.namespaces' })
  }
  if (linux.gidMappings?.length && !namespaces.includes('user')) {
    faults.push({ path: 'linux.gidMappings', message: 'needs a user namespace in linux.namespaces' })
  }
  return faults
}

function duplicates(path: string, key: string, values: readonly string[]): Fault[] {
  return values.flatMap((value, index) =>
    values.indexOf(value) === index
      ? []
      : [{ path: `${path}[${String(index)}].${key}`, message: `${show(value)} is there already` }],
  )
}
