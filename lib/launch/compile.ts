/** OCI runtime spec → launch plan. Pure: every decision of a start is made here, and can be read and tested without root. */
import type { LinuxSeccomp } from '../security/linux-seccomp.js'
import { landlockMasks } from '../security/landlock.js'
import { capabilityMask } from '../security/capabilities.js'
import { compileSeccomp, notifiesOf } from '../security/seccomp-compile.js'
import { allowsAlways } from '../security/seccomp-rules.js'
import { PodlingError } from '../errors.js'
import { attributeOperations, labelledMount, labelledRoot } from './labels.js'
import { rlimitNumbers, rlimitValue } from './rlimits.js'
import { schedulingOperations } from './scheduling.js'
import { parseMountOptions } from './mount-options.js'
import { enterUser, hasUserNamespace } from './outside.js'
import type { Spec, SpecCapabilities, SpecMount, SpecNamespaceType, SpecProcess } from './oci-spec.js'
import type {
  Operation,
  Plan,
  PlanAccount,
  PlanCgroup,
  PlanListener,
  PlanMonitor,
  PlanNetwork,
  PlanStdio,
} from './plan.js'
import { machine } from '../security/seccomp-profile.js'

/** What a launch needs beside the spec: what the host has made for it. */
export interface LaunchInput {
  readonly spec: Spec
  /** How the root is mounted: by the storage driver's word, or the bundle's directory bound onto itself. */
  readonly root: readonly Extract<Operation, { op: 'root-overlay' | 'root-bind' | 'mount' | 'adopt' | 'map-ids' }>[]
  /** What the spec can't say of its mounts. @default nothing */
  readonly mountSources?: readonly MountSource[]
  readonly cgroup: PlanCgroup
  /** What stands below /sys/fs/cgroup in the container: host directories by name; `''` alone is a pure v2 tree. */
  readonly cgroupMounts: readonly { readonly name: string; readonly source: string }[]
  readonly stdio: PlanStdio
  /** Links to networks: what the monitor does, and what the new process does. */
  readonly network?: PlanNetwork & { readonly operations: readonly Operation[] }
  /** Absent: none keeps it. */
  readonly monitor?: PlanMonitor
  /** Stay as pid 1 and reap (`init: true`). */
  readonly init: boolean
  /** Stop before the exec until told to go on; or earlier, while the host's files are in sight still. */
  readonly barrier?: boolean | 'before-pivot'
  /** Programs that are run in its namespaces, before the pivot and as its own program. */
  readonly hooks?: readonly Extract<Operation, { op: 'hook' }>[]
  /** It is in a user namespace that is not the machine's first, where there are no new devices. @default false */
  readonly confined?: boolean
  /** It lives on without its maker, and its program begins when it is told to, or at once. */
  readonly parts?: 'until-start' | 'at-once'
  /** Give it no session keyring of its own, so that it has that of its maker. @default false */
  readonly keepsKeyring?: boolean
  /**
   * Flags of a recursive bind are about its top alone unless they have an `r` in front (`rro`), as the specification says
   * (config.md, "Linux mount options"). @default false: about all that is mounted below, which no caller is to overlook
   */
  readonly flagsOfTop?: boolean
  /** Whom the root's databases of users are to know. @default those whom the image knows */
  readonly account?: PlanAccount
  /** The process is this helper itself, which keeps the namespaces of a pod. */
  readonly hold?: boolean
  /** The mount namespace that a source is prepared from. */
  readonly peer?: string
  /** Who decides calls that its seccomp profile leaves open. */
  readonly listener?: PlanListener
}

/** What the spec can't say of a mount. */
export interface MountSource {
  /** Which of the spec's mounts it is. */
  readonly destination: string
  /** Where it comes from, in the place of the spec's `source`. */
  readonly source?: string
  /** A path in it. */
  readonly subpath?: string
  /** What makes the source, in the container's own mount namespace. */
  readonly prepare?: readonly Operation[]
  /** It begins with what the root has at the destination. */
  readonly fill?: Omit<Extract<Operation, { op: 'fill' }>, 'op' | 'target'>
  /** The slot that `prepare` keeps it in. */
  readonly taken?: number
  /** Who gets all of it. */
  readonly owner?: string
  /** What SELinux is to call all of it. */
  readonly relabel?: { readonly label: string; readonly kept: readonly string[] }
}

/** The plan that makes a container's pid 1. */
export function compilePlan(input: LaunchInput): Plan {
  const { spec, cgroup, stdio, monitor, network, peer, listener } = input
  refuseListeningHooks(input)
  const linux = spec.linux ?? {}
  const namespaces = linux.namespaces ?? []
  return {
    create: namespaces.filter(({ path }) => path === undefined).map(({ type }) => type),
    join: namespaces.flatMap(({ type, path }) => (path === undefined ? [] : [{ type, path }])),
    ...(peer === undefined ? {} : { peer }),
    ...(listener === undefined ? {} : { listener }),
    ...idMaps(linux),
    cgroup,
    stdio,
    // One that a container may use whose processes have no label of their own, too.
    ...(monitor === undefined || !linux.mountLabel ? {} : { streamLabel: linux.mountLabel }),
    ...(monitor === undefined ? {} : { monitor }),
    ...(network === undefined
      ? {}
      : {
          network: {
            links: network.links,
            teardown: network.teardown,
            unlinks: network.unlinks ?? [],
            ...(network.space === undefined ? {} : { space: network.space }),
          },
        }),
    operations: [
      ...rootOperations(input).map((operation) => labelledRoot(operation, linux.mountLabel ?? '')),
      ...namespaceOperations(spec, network?.operations ?? []),
      ...processOperations(input),
    ],
  }
}

/** The plan of a further process in a running container: it joins what pid 1 has. */
export function compileExec(spec: Spec, process: SpecProcess, stdio: PlanStdio, parts?: LaunchInput['parts']): Plan {
  return {
    create: [],
    join: [],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio,
    operations: [
      ...attributeOperations(process),
      { op: 'keyring' },
      ...enteringPids(spec, process, [
        ...terminalOperations(process, stdio, false),
        ...limitOperations(process),
        ...schedulingOperations(spec, process, true),
        ...scoreOperations(process),
        ...identityOperations(spec, process),
      ]),
      ...partOperations(process, parts),
      execOperation(process),
    ],
  }
}

/**
 * When the container gets to see the process: with its rights given up, be it that no process of the container can trace it
 * before and its filter would not let it be born.
 */
function enteringPids(spec: Spec, process: SpecProcess, operations: readonly Operation[]): Operation[] {
  const seccomp = spec.linux?.seccomp
  const traced = spec.process?.capabilities?.bounding?.includes('CAP_SYS_PTRACE') ?? false
  const late = traced || process.noNewPrivileges || seccomp === undefined || bearable(seccomp)
  if (traced && !process.noNewPrivileges && seccomp !== undefined) refuseUnsendable(seccomp)
  const at = late ? operations.findIndex(({ op }) => op === 'capabilities') + 1 : 0
  return [...operations.slice(0, at), { op: 'enter-pids' }, ...operations.slice(at)]
}

/** Can a process be born that has the filter already? One that asks a listener has it from the process that it is told of. */
function bearable(seccomp: LinuxSeccomp): boolean {
  return !notifiesOf(seccomp) && allowsAlways(seccomp, ['clone', 'setsid'])
}

/** What has no thread beside it yet sends its listener by itself, with the filter in force. */
function refuseUnsendable(seccomp: LinuxSeccomp): void {
  if (!notifiesOf(seccomp) || allowsAlways(seccomp, ['sendmsg'])) return
  throw new PodlingError(
    'PERMISSION_DENIED',
    'execute a command in the container: its seccomp profile leaves calls to a listener and does not allow sendmsg, and its ' +
      'programs may trace others; allow sendmsg, drop SYS_PTRACE, or set noNewPrivileges',
  )
}

function refuseListeningHooks({ spec, hooks }: LaunchInput): void {
  const { seccomp } = spec.linux ?? {}
  if (seccomp === undefined || !notifiesOf(seccomp) || hooksAt('startContainer', hooks).length === 0) return
  throw new PodlingError(
    'INVALID_OPTION',
    'hooks.startContainer: such a hook has the seccomp filter of the container, and nobody would get its listener; leave the ' +
      'hook out, or SCMP_ACT_NOTIFY',
  )
}

/** As of an exec, but that it is this helper which looks: for a listener on a port, or an answer to a GET of `path`. */
export function compileProbe(spec: Spec, process: SpecProcess, { port, path }: { port: number; path?: string }): Plan {
  const { seccomp: _, ...linux } = spec.linux ?? {}
  const harmless = { ...process, cwd: '/', capabilities: {}, noNewPrivileges: true }
  return {
    create: [],
    join: [],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'pass', stderr: 'pass' },
    operations: [
      { op: 'keyring' },
      // No filter of a program's that may know nothing of sockets.
      ...enteringPids({ ...spec, linux }, harmless, identityOperations({ ...spec, linux }, harmless)),
      { op: 'probe', port, ...(path === undefined ? {} : { path }) },
    ],
  }
}

/** What a view of a root needs. */
export interface ViewInput extends Pick<LaunchInput, 'root' | 'mountSources'> {
  readonly monitor: PlanMonitor
  /** Only what is bound into it is mounted; all else would be empty. */
  readonly mounts?: readonly SpecMount[]
  readonly readOnly: boolean
  /** The user namespace that it is to be seen from, as the spec has its maps. @default that of the runtime */
  readonly users?: Pick<SpecMount, 'uidMappings' | 'gidMappings'>
}

/**
 * The plan of a process that holds a root as a container sees it, and stands at the barrier until its monitor is closed.
 */
export function compileView({ mounts = [], root, monitor, mountSources = [], readOnly, users }: ViewInput): Plan {
  const sources = new Map(mountSources.map((source) => [source.destination, source]))
  const binds = mounts.filter(({ type }) => type === 'bind').flatMap((mount) => mountOperations(mount, [], sources))
  const before: Operation[] = [
    { op: 'propagation', mode: 'private' },
    ...mountSources.flatMap(({ prepare = [] }) => prepare),
    ...root,
    ...fillOperations(mountSources),
  ]
  return {
    create: users === undefined ? ['mount'] : ['user', 'mount'],
    join: [],
    ...(users === undefined ? {} : idMaps(users)),
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    monitor,
    operations: [
      ...(users === undefined ? [...before, ...binds] : enterUser(before, binds)),
      { op: 'pivot-root' },
      ...(readOnly ? [{ op: 'mount-read-only', path: '/' } as const] : []),
      { op: 'barrier' },
      { op: 'exit' },
    ],
  }
}

function idMaps(linux: Pick<SpecMount, 'uidMappings' | 'gidMappings'>): Pick<Plan, 'idMaps'> {
  const text = (maps: readonly { containerID: number; hostID: number; size: number }[]) =>
    maps.map(({ containerID, hostID, size }) => `${String(containerID)} ${String(hostID)} ${String(size)}\n`).join('')
  if (linux.uidMappings === undefined || linux.uidMappings.length === 0) return {}
  return { idMaps: { uid: text(linux.uidMappings), gid: text(linux.gidMappings ?? []) } }
}

function rootOperations({
  spec,
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
  const devices = deviceOperations(spec).map((operation) => (confined || users ? borrowed(operation) : operation))
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

function hooksAt(at: 'createContainer' | 'startContainer', hooks: LaunchInput['hooks'] = []): Operation[] {
  return hooks.filter(({ stage }) => stage === at)
}

function terminalOperations(process: SpecProcess | undefined, { stdin }: PlanStdio, console: boolean): Operation[] {
  const { width = 0, height = 0 } = process?.consoleSize ?? {}
  return stdin === 'terminal' ? [{ op: 'terminal', columns: width, rows: height, console }] : []
}

function fillOperations(sources: readonly MountSource[]): Operation[] {
  return sources.flatMap(({ destination, fill }) =>
    fill === undefined ? [] : [{ op: 'fill', target: destination, ...fill }],
  )
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

function mountOperations(
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
  if (bind !== undefined || mount.type === 'bind') {
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
  const first = isDev(mount) ? { ...attributes, readOnly: false } : attributes
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

/** One that is to be read-only gets that with all in it: devices, links, and what is mounted below. */
function readOnlyDev({ mounts = [] }: Spec): boolean {
  return mounts.some((mount) => isDev(mount) && parseMountOptions(mount.options ?? []).attributes.readOnly === true)
}

function isDev({ destination, type }: SpecMount): boolean {
  return /^\/dev\/?$/.test(destination) && type === 'tmpfs'
}

/** Devices and links that the spec asks of every runtime (config-linux.md, "Default Devices", "Dev symbolic links"). */
function deviceOperations(spec: Spec): Operation[] {
  const hasDev = (spec.mounts ?? []).some(({ destination, type }) => destination === '/dev' && type !== 'bind')
  const devices: Operation[] = (spec.linux?.devices ?? []).map((device) => ({
    op: 'mknod',
    path: withoutSlash(device.path),
    type: device.type === 'u' ? 'c' : device.type,
    mode: device.fileMode ?? 0o666,
    major: device.major ?? 0,
    minor: device.minor ?? 0,
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
  }))
  // A /dev that is the host's own, bound, has all that already; making it there would be making it on the host.
  if (!hasDev) return devices
  const given = new Set((spec.linux?.devices ?? []).map(({ path }) => withoutSlash(path)))
  const defaults = defaultDevices
    .filter(({ path }) => !given.has(path))
    .map(({ path, major, minor }): Operation => ({
      op: 'mknod',
      path,
      type: 'c',
      mode: 0o666,
      major,
      minor,
      uid: 0,
      gid: 0,
    }))
  const links = defaultLinks.map(([path, target]): Operation => ({ op: 'symlink', path, target }))
  return [...defaults, ...devices, ...links]
}

/** A name ends with its last component. */
function withoutSlash(path: string): string {
  return path.replace(/(?<=[^/])\/+$/, '')
}

/** A device of the host's in the place of one that would be made: what may be done with it, the host's own mode says. */
function borrowed(operation: Operation): Operation {
  if (operation.op !== 'mknod' || operation.type === 'p') return operation
  const { path } = operation
  return { op: 'bind', source: path, target: path, recursive: false, attributes: {} }
}

const defaultDevices = [
  { path: '/dev/null', major: 1, minor: 3 },
  { path: '/dev/zero', major: 1, minor: 5 },
  { path: '/dev/full', major: 1, minor: 7 },
  { path: '/dev/random', major: 1, minor: 8 },
  { path: '/dev/urandom', major: 1, minor: 9 },
  { path: '/dev/tty', major: 5, minor: 0 },
] as const

const defaultLinks = [
  ['/dev/fd', '/proc/self/fd'],
  ['/dev/stdin', '/proc/self/fd/0'],
  ['/dev/stdout', '/proc/self/fd/1'],
  ['/dev/stderr', '/proc/self/fd/2'],
  ['/dev/ptmx', 'pts/ptmx'],
] as const

/** What is set for the namespaces as a whole, after the pivot: nothing of the host can be named any more. */
function namespaceOperations(spec: Spec, network: readonly Operation[]): Operation[] {
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

function processOperations({ spec, init, barrier, hold, hooks, parts, keepsKeyring }: LaunchInput): Operation[] {
  const { process } = spec
  if (hold) return holdOperations(barrier === true)
  if (process === undefined) return []
  return [
    ...(barrier === true ? [{ op: 'barrier' } as const] : []),
    ...(keepsKeyring === true ? [] : [{ op: 'keyring' } as const]),
    ...(parts === undefined ? hooksAt('startContainer', hooks) : []),
    ...limitOperations(process),
    ...schedulingOperations(spec, process, false),
    ...(hasUserNamespace(spec.linux ?? {}) ? [] : scoreOperations(process)),
    ...identityOperations(spec, process),
    // What can fail comes before it: the start is not answered.
    ...partOperations(process, parts),
    ...(parts === undefined ? [] : hooksAt('startContainer', hooks)),
    ...(init ? [{ op: 'init' } as const] : []),
    execOperation(process),
  ]
}

function partOperations({ args = [], env = [] }: SpecProcess, parts: LaunchInput['parts']): Operation[] {
  if (parts === undefined) return []
  return [{ op: 'part', program: args[0] ?? '', env, awaitsStart: parts === 'until-start' }]
}

/** It needs no right of any kind, nor does anybody else by way of it. */
function holdOperations(barrier: boolean): Operation[] {
  return [
    ...(barrier ? [{ op: 'barrier' } as const] : []),
    { op: 'keyring' },
    { op: 'no-new-privs' },
    capabilityOperation({}),
    { op: 'hold' },
  ]
}

function limitOperations(process: SpecProcess): Operation[] {
  return (process.rlimits ?? []).map(({ type, soft, hard }) => ({
    op: 'rlimit',
    // The spec was validated: its names are known ones.
    resource: rlimitNumbers[type] ?? 0,
    soft: rlimitValue(soft),
    hard: rlimitValue(hard),
  }))
}

function scoreOperations(process: SpecProcess | undefined): Operation[] {
  return process?.oomScoreAdj === undefined ? [] : [{ op: 'oom-score-adj', value: process.oomScoreAdj }]
}

/** Who the process is and what it may do, in the order that the kernel's own rules leave open. */
function identityOperations(spec: Spec, process: SpecProcess): Operation[] {
  const seccomp: Operation[] =
    spec.linux?.seccomp === undefined ? [] : [{ op: 'seccomp', ...compileSeccomp(spec.linux.seccomp, machine) }]
  const { user, landlock } = process
  // Found first, and become with the capabilities: the standard streams are made the user's before a filter may forbid that.
  const setHome = !(process.env ?? []).some((entry) => entry.startsWith('HOME='))
  const { uid, gid, username, additionalGids: groups = [] } = user
  const found: Operation =
    username === undefined
      ? { op: 'ids', uid, gid, groups, setHome }
      : { op: 'user', user: username, groups: groups.map(String), setHome }
  const place: Operation[] = [
    { op: 'umask', mask: user.umask ?? 0o022 },
    // As root still, so that a directory of the image that only its owner may enter works, as with runc.
    { op: 'chdir', path: process.cwd, create: true },
    // Behind all that makes or opens something, and before a filter may forbid it.
    ...(landlock === undefined ? [] : [{ op: 'landlock', ...landlockMasks(landlock) } as const]),
  ]
  const capabilities = capabilityOperation(process.capabilities ?? {})
  // Without no_new_privs only CAP_SYS_ADMIN may load a filter, so it must come before the capabilities go. With it the
  // filter comes last, and the profile need not allow what setting up the identity takes (seccomp(2)).
  return process.noNewPrivileges
    ? [found, { op: 'no-new-privs' }, ...place, capabilities, ...seccomp]
    : [found, ...place, ...seccomp, capabilities]
}

function capabilityOperation(sets: SpecCapabilities): Operation {
  return {
    op: 'capabilities',
    effective: capabilityMask(sets.effective ?? []),
    permitted: capabilityMask(sets.permitted ?? []),
    inheritable: capabilityMask(sets.inheritable ?? []),
    bounding: capabilityMask(sets.bounding ?? []),
    ambient: capabilityMask(sets.ambient ?? []),
  }
}

function execOperation(process: SpecProcess): Operation {
  return { op: 'exec', argv: process.args ?? [], env: process.env ?? [] }
}
