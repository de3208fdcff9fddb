/** Capabilities by name and bit, and Podman's rules for adding and dropping them (capabilities(7)). Pure. */
import { PodlingError } from '../errors.js'
import { show } from '../schema/faults.js'
import { nearestName } from '../schema/nearest-name.js'

/** By bit number, as linux/capability.h counts them. */
export const capabilityNames = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const

export type CapabilityName = (typeof capabilityNames)[number]

/** What a container may do when nothing else is said: the default of podman-run(1), `--cap-add`. */
export const defaultCapabilities: readonly CapabilityName[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
]

const bits: ReadonlyMap<string, number> = new Map(capabilityNames.map((name, bit) => [name, bit]))

/**
 * The full name for `'net_admin'`, `'NET_ADMIN'` or `'CAP_NET_ADMIN'`.
 * @throws PodlingError `CAPABILITY_UNKNOWN`, which names the nearest right one
 */
export function capabilityName(text: string): CapabilityName {
  const name = findCapability(text)
  if (name !== undefined) return name
  throw new PodlingError('CAPABILITY_UNKNOWN', unknownCapability(text))
}

/** As {@link capabilityName}; undefined for one that isn't known. */
export function findCapability(text: string): CapabilityName | undefined {
  const upper = text.trim().toUpperCase()
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
  return bits.has(name) ? (name as CapabilityName) : undefined
}

/** The sentence about a name that is no capability. */
export function unknownCapability(text: string): string {
  const upper = text.trim().toUpperCase()
  const near = nearestName(upper.replace(/^CAP_/, ''), [...capabilityNames.map((name) => name.slice(4)), 'ALL'])
  return `${show(text)} is no capability${near === undefined ? '; capabilities(7) lists them' : `; did you mean ${near}?`}`
}

/**
 * A set of capabilities as the kernel's bit mask.
 * @throws PodlingError `CAPABILITY_UNKNOWN`
 */
export function capabilityMask(names: readonly string[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(bits.get(capabilityName(name)) ?? 0)), 0n)
}

/** The names of a mask's bits, in the order of the bits. Bits that have no name yet are left out. */
export function capabilitiesOf(mask: bigint): CapabilityName[] {
  return capabilityNames.filter((_, bit) => (mask & (1n << BigInt(bit))) !== 0n)
}

/** What {@link mergeCapabilities} starts from and changes. Names may be short, in any case, and `ALL`. */
export interface CapabilityChoice {
  readonly add: readonly string[]
  readonly drop: readonly string[]
  /** What a container has before `add` and `drop`. @default {@link defaultCapabilities} */
  readonly base?: readonly CapabilityName[]
  /** What this host can give: CapBnd of /proc/self/status. @default all that are known */
  readonly available?: readonly CapabilityName[]
}

/**
 * The set that remains: Podman's rules. `ALL` dropped leaves only what is added, `ALL` added takes all but the dropped.
 * @throws PodlingError `CAPABILITY_UNKNOWN`
 */
export function mergeCapabilities(choice: CapabilityChoice): CapabilityName[] {
  const { base = defaultCapabilities, available = capabilityNames } = choice
  const add = expand(choice.add, available)
  const drop = new Set(expand(choice.drop, capabilityNames))
  const dropAll = choice.drop.some(isAll)
  const addAll = choice.add.some(isAll)
  const start = dropAll ? [] : addAll ? available : base
  const wanted = new Set<CapabilityName>(start)
  if (!addAll || dropAll) for (const name of add) wanted.add(name)
  if (!dropAll) for (const name of drop) wanted.delete(name)
  const can = new Set(available)
  return capabilityNames.filter((name) => wanted.has(name) && can.has(name)).sort()
}

/** `'all'`, `'ALL'`, which stands for every capability. */
export function isAll(text: string): boolean {
  return text.trim().toUpperCase() === 'ALL'
}

function expand(names: readonly string[], all: readonly CapabilityName[]): CapabilityName[] {
  return names.flatMap((name) => (isAll(name) ? all : [capabilityName(name)]))
}
