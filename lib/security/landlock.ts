/**
 * Rules of landlock(7): what a program may do with files, TCP ports and what is outside of it, whoever it is and whatever
 * capabilities it has. From the options to what a kernel can enforce. Pure.
 */
import { PodlingError } from '../errors.js'

/** Rights on files, by the ABI of the kernel that brought them (linux/landlock.h). */
const fileRights = {
  execute: { bit: 0, abi: 1 },
  write_file: { bit: 1, abi: 1 },
  read_file: { bit: 2, abi: 1 },
  read_dir: { bit: 3, abi: 1 },
  remove_dir: { bit: 4, abi: 1 },
  remove_file: { bit: 5, abi: 1 },
  make_char: { bit: 6, abi: 1 },
  make_dir: { bit: 7, abi: 1 },
  make_reg: { bit: 8, abi: 1 },
  make_sock: { bit: 9, abi: 1 },
  make_fifo: { bit: 10, abi: 1 },
  make_block: { bit: 11, abi: 1 },
  make_sym: { bit: 12, abi: 1 },
  refer: { bit: 13, abi: 2 },
  truncate: { bit: 14, abi: 3 },
  ioctl_dev: { bit: 15, abi: 5 },
} as const satisfies Record<LandlockFileRight, { readonly bit: number; readonly abi: number }>
const portRights = { bind_tcp: { bit: 0, abi: 4 }, connect_tcp: { bit: 1, abi: 4 } } as const
const scopeRights = { abstract_unix_socket: { bit: 0, abi: 6 }, signal: { bit: 1, abi: 6 } } as const satisfies Record<
  LandlockScope,
  { readonly bit: number; readonly abi: number }
>

/** A right on files, by its name in landlock(7). */
export type LandlockFileRight =
  | 'execute'
  | 'write_file'
  | 'read_file'
  | 'read_dir'
  | 'remove_dir'
  | 'remove_file'
  | 'make_char'
  | 'make_dir'
  | 'make_reg'
  | 'make_sock'
  | 'make_fifo'
  | 'make_block'
  | 'make_sym'
  | 'refer'
  | 'truncate'
  | 'ioctl_dev'
type PortRight = keyof typeof portRights
/** What of the world outside can't be reached: abstract Unix sockets, or processes by signals. */
export type LandlockScope = 'abstract_unix_socket' | 'signal'

/** Several rights by one word. */
const groups: Readonly<Record<'read' | 'write', readonly LandlockFileRight[]>> = {
  read: ['read_file', 'read_dir'],
  write: (Object.keys(fileRights) as LandlockFileRight[]).filter(
    (name) => !['execute', 'read_file', 'read_dir', 'ioctl_dev'].includes(name),
  ),
}

/** A right of landlock(7), or `'read'`: files and directories; `'write'`: change, make, remove and move them. */
export type LandlockAccess = 'read' | 'write' | LandlockFileRight

export const landlockAccesses: readonly string[] = [...Object.keys(groups), ...Object.keys(fileRights)]
export const landlockPortAccesses: readonly string[] = Object.keys(portRights)
export const landlockScopes: readonly string[] = Object.keys(scopeRights)

/** What a container's programs are confined to, by landlock(7). What isn't mentioned at all is left as it is. */
export interface LandlockOption {
  /**
   * Nothing can be done with files but what is said here, for each path and all below it. Paths are looked up in the container, at
   * the start and at each exec: name such as its programs can't replace. @default all files are as they are
   */
  readonly paths?: readonly { readonly path: string; readonly access: readonly LandlockAccess[] }[]
  /** TCP ports that can be bound, or connected to; no others (Linux 6.7). @default all */
  readonly ports?: readonly { readonly port: number; readonly access: readonly PortRight[] }[]
  /** Keep it from what belongs to programs outside of it, those of another exec among them (Linux 6.12). @default [] */
  readonly scopes?: readonly LandlockScope[]
  /** Where the kernel is too old for a part of it, go without that part; `inspect().security` tells. @default false */
  readonly bestEffort?: boolean
}

/** What a kernel is told, in names of landlock(7). */
export interface LandlockRules {
  /** All that is forbidden, but for what rules allow. */
  readonly handled: {
    readonly files: readonly LandlockFileRight[]
    readonly ports: readonly PortRight[]
    readonly scopes: readonly LandlockScope[]
  }
  readonly paths: readonly { readonly path: string; readonly access: readonly LandlockFileRight[] }[]
  readonly ports: readonly { readonly port: number; readonly access: readonly PortRight[] }[]
  /** What was asked for and this kernel can't do; with `bestEffort` alone. */
  readonly missing: readonly string[]
}

/**
 * @param abi what the kernel has, 0 for none
 * @throws PodlingError `KERNEL_UNSUPPORTED` when it can't do all of it, unless `bestEffort` is said
 */
export function landlockRules(option: LandlockOption, abi: number): LandlockRules {
  const files = option.paths === undefined ? [] : split(fileRights, Object.keys(fileRights) as LandlockFileRight[], abi)
  const ports = option.ports === undefined ? [] : split(portRights, Object.keys(portRights) as PortRight[], abi)
  const scopes = split(scopeRights, option.scopes ?? [], abi)
  const all = [...files, ...ports, ...scopes]
  const missing = all.filter(({ there }) => !there)
  if (missing.length > 0 && option.bestEffort !== true) throw tooOld(missing, abi)
  const has = <N>(rights: readonly Right<N>[]): N[] => rights.filter(({ there }) => there).map(({ name }) => name)
  const handled = { files: has(files), ports: has(ports), scopes: has(scopes) }
  return {
    handled,
    paths:
      handled.files.length === 0
        ? []
        : (option.paths ?? []).map(({ path, access }) => ({
            path,
            access: expand(access).filter((name) => handled.files.includes(name)),
          })),
    ports: handled.ports.length === 0 ? [] : (option.ports ?? []),
    missing: missing.map(({ name }) => name),
  }
}

/** Masks of linux/landlock.h. */
export interface LandlockMasks {
  readonly files: bigint
  readonly ports: bigint
  readonly scopes: bigint
  readonly pathRules: readonly { readonly path: string; readonly access: bigint }[]
  readonly portRules: readonly { readonly port: number; readonly access: bigint }[]
}

export function landlockMasks({ handled, paths, ports }: LandlockRules): LandlockMasks {
  return {
    files: mask(fileRights, handled.files),
    ports: mask(portRights, handled.ports),
    scopes: mask(scopeRights, handled.scopes),
    // A rule that allows nothing is none; the kernel refuses it.
    pathRules: paths.flatMap(({ path, access }) =>
      access.length === 0 ? [] : [{ path, access: mask(fileRights, access) }],
    ),
    portRules: ports.map(({ port, access }) => ({ port, access: mask(portRights, access) })),
  }
}

type Table<N extends string> = Readonly<Record<N, { readonly bit: number; readonly abi: number }>>

interface Right<N> {
  readonly name: N
  readonly abi: number
  readonly there: boolean
}

function split<N extends string>(table: Table<N>, names: readonly N[], abi: number): Right<N>[] {
  return names.map((name) => ({ name, abi: table[name].abi, there: table[name].abi <= abi }))
}

function mask<N extends string>(table: Table<N>, names: readonly N[]): bigint {
  return names.reduce((bits, name) => bits | (1n << BigInt(table[name].bit)), 0n)
}

function expand(access: readonly LandlockAccess[]): LandlockFileRight[] {
  return [...new Set(access.flatMap((word) => (word === 'read' || word === 'write' ? groups[word] : [word])))]
}

/** Kernels by what they brought. */
const releases: Readonly<Record<number, string>> = { 1: '5.13', 2: '5.19', 3: '6.2', 4: '6.7', 5: '6.10', 6: '6.12' }

function tooOld(missing: readonly Right<string>[], abi: number): PodlingError {
  if (abi === 0) {
    return new PodlingError(
      'KERNEL_UNSUPPORTED',
      'landlock: this kernel has no Landlock, or it is switched off; boot with landlock among the names of the parameter ' +
        'lsm=, on a kernel with CONFIG_SECURITY_LANDLOCK, or say bestEffort: true to go without',
    )
  }
  const needed = Math.max(...missing.map((right) => right.abi))
  return new PodlingError(
    'KERNEL_UNSUPPORTED',
    `landlock: this kernel has version ${String(abi)} of it, which can't restrict ` +
      `${missing.map(({ name }) => name).join(', ')}; version ${String(needed)} came with Linux ${releases[needed] ?? ''}; ` +
      'boot a newer kernel, or say bestEffort: true to go without',
  )
}
