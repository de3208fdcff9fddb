/**
 * Seccomp profiles in the JSON format of Docker and Podman (seccomp.json of containers-common), and what they become for
 * one container: the rules whose conditions on architecture, capabilities and kernel hold.
 */
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { PodlingError } from '../errors.js'
import { parseExactJson } from '../schema/exact-json.js'
import { faultFinder, formatFaults, show, type Fault } from '../schema/faults.js'
import {
  seccompActions,
  seccompArchitectures,
  seccompFlags,
  seccompOperators,
  type LinuxSeccomp,
  type SeccompAction,
  type SeccompArchitecture,
  type SeccompArgument,
  type SeccompFlag,
  type SeccompRule,
} from './linux-seccomp.js'
import { unknownSyscall } from './syscalls.js'

/** A profile, as the JSON file holds it. */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction
  readonly defaultErrnoRet?: number
  /** A name such as `'ENOSYS'`, or a number as text; instead of `defaultErrnoRet`. */
  readonly defaultErrno?: string
  /** Instead of `archMap`: the architectures as they are. */
  readonly architectures?: readonly SeccompArchitecture[]
  /** For each architecture of a machine, those that it can run besides. */
  readonly archMap?: readonly {
    readonly architecture: SeccompArchitecture
    readonly subArchitectures?: readonly SeccompArchitecture[]
  }[]
  readonly flags?: readonly SeccompFlag[]
  readonly listenerPath?: string
  readonly listenerMetadata?: string
  readonly syscalls?: readonly SeccompProfileRule[]
}

export interface SeccompProfileRule {
  /** One name; the older form of `names`. */
  readonly name?: string
  readonly names?: readonly string[]
  readonly action: SeccompAction
  readonly errnoRet?: number
  readonly errno?: string
  readonly args?: readonly SeccompArgument[]
  readonly comment?: string
  /** The rule is there only where all of these hold. */
  readonly includes?: SeccompCondition
  /** The rule is not there where any of these holds. */
  readonly excludes?: SeccompCondition
}

export interface SeccompCondition {
  /** Such as `CAP_SYS_ADMIN`. */
  readonly caps?: readonly string[]
  /** Go's names: `amd64`, `arm64`. */
  readonly arches?: readonly string[]
  /** `'4.8'` */
  readonly minKernel?: string
}

/** What a profile's conditions are asked of. */
export interface SeccompContext {
  readonly arch: MachineArchitecture
  /** The bounding set of the container. */
  readonly capabilities: readonly string[]
  /** The kernel's release, `'6.12.3'`; absent: recent enough for any `minKernel`. */
  readonly kernel?: string
}

/** The machines that Podling runs on, by Go's names. */
export type MachineArchitecture = 'amd64' | 'arm64'

/** The machine that this process runs on. */
export const machine: MachineArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64'

const nativeArchitecture: Readonly<Record<MachineArchitecture, SeccompArchitecture>> = {
  amd64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
}

const argument = {
  type: 'object',
  additionalProperties: false,
  required: ['index', 'value', 'op'],
  properties: {
    index: { type: 'integer', minimum: 0, maximum: 5 },
    value: { uint64: true },
    valueTwo: { uint64: true },
    op: { enum: seccompOperators },
  },
}

const strings = { type: 'array', items: { type: 'string' } }

const condition = {
  type: 'object',
  additionalProperties: false,
  properties: {
    caps: strings,
    arches: strings,
    minKernel: { type: 'string', pattern: '^\\d+(\\.\\d+)?$', says: `a kernel version such as '4.8'` },
  },
}

const errnoNumber = { type: 'integer', minimum: 0, maximum: 4095 }

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['defaultAction'],
  properties: {
    defaultAction: { enum: seccompActions },
    defaultErrnoRet: errnoNumber,
    defaultErrno: { type: 'string', errno: true },
    architectures: { type: 'array', items: { enum: seccompArchitectures } },
    archMap: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['architecture'],
        properties: {
          architecture: { enum: seccompArchitectures },
          subArchitectures: { type: 'array', items: { enum: seccompArchitectures } },
        },
      },
    },
    flags: { type: 'array', items: { enum: seccompFlags } },
    listenerPath: { type: 'string' },
    listenerMetadata: { type: 'string' },
    syscalls: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['action'],
        properties: {
          name: { type: 'string', syscall: true },
          names: { type: 'array', minItems: 1, items: { type: 'string', syscall: true } },
          action: { enum: seccompActions },
          errnoRet: errnoNumber,
          errno: { type: 'string', errno: true },
          args: { type: 'array', items: argument },
          comment: { type: 'string' },
          includes: condition,
          excludes: condition,
        },
      },
    },
  },
}

/** A 64-bit unsigned number, as a rule's argument is compared with. */
export function uint64Fault(value: unknown): string | undefined {
  if (typeof value === 'bigint' && value >= 0n && value < 2n ** 64n) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return undefined
  const inexact = typeof value === 'number' && Number.isInteger(value) && value > 0
  return `must be a whole number 0..2^64-1${inexact ? ', beyond 2^53 as a bigint' : ''}, got ${show(value)}`
}

const findFaults = faultFinder(schema, [
  { keyword: 'uint64', fault: uint64Fault },
  {
    keyword: 'errno',
    type: 'string',
    fault: (name) =>
      errnoOf(String(name)) === undefined ? `must be an errno such as 'ENOSYS', got ${show(name)}` : undefined,
  },
  { keyword: 'syscall', type: 'string', fault: (name) => unknownSyscall(String(name)) },
])

/**
 * Check what may be a profile. Null counts as absent, as Go writes it.
 * @param what it is, for the message: `the seccomp profile /etc/app.json`
 * @throws PodlingError `SECCOMP_PROFILE_INVALID`, with all faults and where each is
 */
export function parseSeccompProfile(value: unknown, what = 'seccomp profile'): SeccompProfile {
  const profile = withoutNulls(value)
  const faults = seccompProfileFaults(profile)
  if (faults.length > 0) throw new PodlingError('SECCOMP_PROFILE_INVALID', formatFaults(what, faults))
  return profile as SeccompProfile
}

/** All that is wrong with what may be a profile; nothing, when it is one. */
export function seccompProfileFaults(profile: unknown): Fault[] {
  const faults = findFaults(profile)
  return faults.length > 0 ? faults : contradictions(profile as SeccompProfile)
}

/**
 * Read a profile from a file of the host.
 * @throws PodlingError `SECCOMP_PROFILE_INVALID`
 */
export async function loadSeccompProfile(path: string): Promise<SeccompProfile> {
  const what = `the seccomp profile ${path}`
  let value: unknown
  try {
    value = parseExactJson(await readFile(path, 'utf8'), new Set(['value', 'valueTwo']))
  } catch (cause) {
    const why = cause instanceof SyntaxError ? `is no JSON: ${cause.message}` : `can't be read: ${String(cause)}`
    throw new PodlingError('SECCOMP_PROFILE_INVALID', `${what} ${why}`, { cause, path })
  }
  return parseSeccompProfile(value, what)
}

const resolved = new WeakMap<SeccompProfile, Map<string, LinuxSeccomp>>()

/**
 * The OCI form of a profile: only the rules whose conditions hold here, errno names as numbers. The same profile in the
 * same context gives the same object, by which the compiled filter is known again. Pure.
 */
export function resolveSeccompProfile(profile: SeccompProfile, context: SeccompContext): LinuxSeccomp {
  const key = `${context.arch} ${context.kernel ?? ''} ${context.capabilities.join(' ')}`
  const known = resolved.get(profile) ?? new Map<string, LinuxSeccomp>()
  resolved.set(profile, known)
  const rules = known.get(key) ?? resolve(profile, context)
  known.set(key, rules)
  return rules
}

function resolve(profile: SeccompProfile, context: SeccompContext): LinuxSeccomp {
  const native = nativeArchitecture[context.arch]
  const mapped = profile.archMap?.find(({ architecture }) => architecture === native)
  const architectures =
    profile.architectures ?? (mapped === undefined ? undefined : [native, ...(mapped.subArchitectures ?? [])])
  const defaultErrno = errnoNumberOf(profile.defaultErrno, profile.defaultErrnoRet)
  return {
    defaultAction: profile.defaultAction,
    ...(defaultErrno === undefined ? {} : { defaultErrnoRet: defaultErrno }),
    ...(architectures === undefined ? {} : { architectures }),
    ...(profile.flags === undefined ? {} : { flags: profile.flags }),
    ...(profile.listenerPath === undefined ? {} : { listenerPath: profile.listenerPath }),
    ...(profile.listenerMetadata === undefined ? {} : { listenerMetadata: profile.listenerMetadata }),
    syscalls: (profile.syscalls ?? []).filter((rule) => applies(rule, context)).map(ociRule),
  }
}

function ociRule(rule: SeccompProfileRule): SeccompRule {
  const errno = errnoNumberOf(rule.errno, rule.errnoRet)
  return {
    names: rule.names ?? (rule.name ? [rule.name] : []),
    action: rule.action,
    ...(errno === undefined ? {} : { errnoRet: errno }),
    ...(rule.args === undefined || rule.args.length === 0 ? {} : { args: rule.args }),
  }
}

function applies(rule: SeccompProfileRule, { arch, capabilities, kernel }: SeccompContext): boolean {
  const has = (name: string): boolean => capabilities.includes(name)
  const recent = (minimum: string): boolean => kernel === undefined || compareVersions(kernel, minimum) >= 0
  const { includes = {}, excludes = {} } = rule
  if (includes.arches?.length && !includes.arches.includes(arch)) return false
  if (!(includes.caps ?? []).every(has)) return false
  if (includes.minKernel !== undefined && !recent(includes.minKernel)) return false
  if (excludes.arches?.includes(arch)) return false
  if ((excludes.caps ?? []).some(has)) return false
  return excludes.minKernel === undefined || !recent(excludes.minKernel)
}

function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split(/[.-]/).map(Number)) as [number[], number[]]
  return (x[0] ?? 0) - (y[0] ?? 0) || (x[1] ?? 0) - (y[1] ?? 0)
}

function errnoNumberOf(name: string | undefined, number: number | undefined): number | undefined {
  return name === undefined || name === '' ? number : errnoOf(name)
}

function errnoOf(name: string): number | undefined {
  if (name === '') return 0
  if (/^\d+$/.test(name)) return Number(name) <= 4095 ? Number(name) : undefined
  return (constants.errno as Readonly<Record<string, number | undefined>>)[name]
}

function contradictions(profile: SeccompProfile): Fault[] {
  const faults: Fault[] = []
  if (profile.architectures?.length && profile.archMap?.length) {
    faults.push({ path: 'archMap', message: 'must not stand beside architectures; use one of the two' })
  }
  faults.push(...listenerFaults(profile))
  for (const [index, rule] of (profile.syscalls ?? []).entries()) {
    const path = `syscalls[${String(index)}]`
    if (rule.name && rule.names !== undefined) {
      faults.push({ path, message: 'must have name or names, not both' })
    } else if (!rule.name && rule.names === undefined) {
      faults.push({ path: `${path}.names`, message: 'is required' })
    }
  }
  return faults
}

/** Who is asked by `SCMP_ACT_NOTIFY` must be named, by a path that everybody understands alike. */
export function listenerFaults(
  { defaultAction, syscalls = [], listenerPath = '', listenerMetadata = '' }: ListenerPart,
  prefix = '',
): Fault[] {
  const asks = [defaultAction, ...syscalls.map(({ action }) => action)].includes('SCMP_ACT_NOTIFY')
  const fault = (name: string, message: string): Fault[] => [{ path: `${prefix}${name}`, message }]
  if (listenerPath !== '' && !listenerPath.startsWith('/')) {
    return fault('listenerPath', `must be an absolute path, got ${show(listenerPath)}`)
  }
  if (listenerPath !== '') return []
  if (asks) return fault('listenerPath', 'is required by SCMP_ACT_NOTIFY: the socket of whoever decides')
  return listenerMetadata === '' ? [] : fault('listenerMetadata', 'must not be set without listenerPath')
}

type ListenerPart = Pick<LinuxSeccomp, 'defaultAction' | 'listenerPath' | 'listenerMetadata'> & {
  readonly syscalls?: readonly { readonly action: SeccompAction }[]
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== null && part !== undefined)
      .map(([key, part]) => [key, withoutNulls(part)]),
  )
}
