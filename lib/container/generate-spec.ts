/**
 * Image configuration and options to an OCI runtime spec: what `podman run` makes of them, where an option is silent.
 * Pure. Where it differs from Podman, and why, is written at the place and in spec/container/podman.spec.ts.
 */
import { PodlingError } from '../errors.js'
import type { LinuxResources } from '../cgroup/resources.js'
import type { Spec, SpecDevice, SpecMount, SpecNamespaceType, SpecProcess, SpecRlimit } from '../launch/oci-spec.js'
import { capabilityNames, type CapabilityName } from '../security/capabilities.js'
import { landlockRules } from '../security/landlock.js'
import { defaultSeccomp } from '../security/default-seccomp-profile.js'
import { guardingProjects } from '../security/guard-projects.js'
import type { LinuxSeccomp } from '../security/linux-seccomp.js'
import type { SelinuxPolicy } from '../security/selinux.js'
import { resolveSeccompProfile, type MachineArchitecture, type SeccompProfile } from '../security/seccomp-profile.js'
import { containerCapabilities } from './capability-sets.js'
import { confineSpec, type Confinement } from './confine-spec.js'
import { defaultMounts, type EtcFiles } from './default-mounts.js'
import { kernelPaths } from './kernel-paths.js'
import { limitResources } from './limits/resources.js'
import type { MountRequest } from './mount-request.js'
import type { NormalizedOptions } from './normalized-options.js'
import { joinEdits, noEdits, type SpecEdits } from './spec-edits.js'
import type { TerminalSize } from './terminal/size.js'
import { machine } from '../security/seccomp-profile.js'

/** The version of the specification that the result follows. */
export const ociVersion = '1.2.0'

/** What a terminal is, to programs on it, where nobody says (`podman run --tty`). */
export const defaultTerm = 'TERM=xterm'

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What of an image's configuration a container takes over; `ImageConfig` of lib/image has it. */
export interface ImageDefaults {
  readonly user?: string
  readonly env?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  readonly workingDir?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** What the host is like, as far as a spec depends on it. */
export interface HostFacts {
  /** @default that of this process */
  readonly arch?: MachineArchitecture
  /** The host's own name, for containers that share it. @default the container's */
  readonly hostname?: string
  /** Release of the kernel, for seccomp rules with a `minKernel`. */
  readonly kernel?: string
  /** The bounding set of the runtime. @default all */
  readonly capabilities?: readonly CapabilityName[]
  /** The most that this process may give its children (`Max open files`, `Max processes` of /proc/self/limits). */
  readonly limits?: { readonly nofile?: number; readonly nproc?: number }
  /** All limits of this process. */
  readonly rlimits?: readonly SpecRlimit[]
  /** The ABI of landlock(7). @default 0: none */
  readonly landlock?: number
  /** What the policy of SELinux calls containers. @default there is none */
  readonly selinux?: SelinuxPolicy
  /** Where containers are in a user namespace that is not the machine's first. */
  readonly confinement?: Confinement
  /** Device nodes for `privileged`. */
  readonly devices?: readonly SpecDevice[]
}

export interface SpecInput {
  readonly options: NormalizedOptions
  readonly image?: ImageDefaults
  readonly id: string
  readonly rootPath: string
  readonly cgroupsPath: string
  readonly files: EtcFiles
  /** What `options.seccomp` names by a path, read by `loadSeccompProfile`. */
  readonly seccompProfile?: SeccompProfile
  readonly host?: HostFacts
  /** Some of what it writes has a quota: it must not take files out of it. @default false */
  readonly guardsProjects?: boolean
  /** What its devices bring along. */
  readonly edits?: SpecEdits
}

/**
 * @throws PodlingError `INVALID_OPTION` when neither image nor options say what to run, or a seccomp profile wasn't read
 */
export function generateSpec(input: SpecInput): Spec {
  const { options, image = {}, id, host = {}, edits = noEdits } = input
  // The later one takes the place of one at the same path.
  const given = [...(options.privileged ? (host.devices ?? []) : []), ...edits.devices]
  const { hooks } = joinEdits([edits, { ...noEdits, hooks: options.hooks ?? {} }])
  const devices = new Map(given.map((device) => [device.path, device]))
  const hostname = chooseHostname(options, id, host)
  const user = options.user ?? image.user ?? ''
  const capabilities = containerCapabilities({
    ...options,
    user,
    labels: { ...image.labels, ...options.labels },
    available: host.capabilities ?? capabilityNames,
  })
  const seccomp = chooseSeccomp(input, capabilities.bounding ?? [])
  const ownUts = options.uts === 'private' && options.pod?.share.includes('uts') !== true
  const spec: Spec = {
    ociVersion,
    process: {
      terminal: options.tty !== undefined,
      ...consoleSize(options.tty),
      user: {
        ...parseUser(user),
        umask: options.umask,
        ...(edits.additionalGids.length === 0 ? {} : { additionalGids: edits.additionalGids }),
      },
      args: processArguments(options, image),
      env: environment(options, image, hostname, edits),
      cwd: options.workdir ?? (image.workingDir || '/'),
      capabilities,
      rlimits: chooseRlimits(options, host),
      noNewPrivileges: options.noNewPrivileges,
      ...(options.landlock === undefined ? {} : { landlock: landlockRules(options.landlock, host.landlock ?? 0) }),
      ...(options.oomScoreAdj === undefined ? {} : { oomScoreAdj: options.oomScoreAdj }),
    },
    root: { path: input.rootPath, readonly: options.readOnly },
    ...(ownUts ? { hostname } : {}),
    mounts: mergeMounts(defaultMounts(options, input.files), [...edits.mounts, ...options.mounts.map(specMount)]),
    ...(Object.keys(hooks).length === 0 ? {} : { hooks }),
    annotations: options.annotations,
    linux: {
      namespaces: namespaces(options).map((type) => ({ type })),
      cgroupsPath: input.cgroupsPath,
      resources: resources(options, edits),
      ...(devices.size === 0 ? {} : { devices: [...devices.values()] }),
      sysctl: { ...defaultSysctls(options), ...options.sysctls },
      ...(seccomp === undefined ? {} : { seccomp }),
      ...kernelPaths(options),
    },
  }
  return host.confinement === undefined ? spec : confineSpec(spec, host.confinement)
}

/**
 * Entrypoint and command: those of the options, else the image's; but the image's command belongs to the image's
 * entrypoint and falls away with it.
 */
function processArguments(options: NormalizedOptions, image: ImageDefaults): string[] {
  const entrypoint = options.entrypoint ?? image.entrypoint ?? []
  const ownEntrypoint = options.entrypoint !== undefined && options.entrypoint.length > 0
  const command = options.command.length > 0 || ownEntrypoint ? options.command : (image.cmd ?? [])
  const args = [...(entrypoint.length === 1 && entrypoint[0] === '' ? [] : entrypoint), ...command]
  if (args.length > 0 && args[0] !== '') return args
  throw new PodlingError(
    'INVALID_OPTION',
    args.length > 0
      ? 'command: the program to run must not be an empty string'
      : 'command: is required, since the image has neither an entrypoint nor a command',
  )
}

/** A later one wins: defaults, then the image's, then the options'. HOME is added by the start, from /etc/passwd. */
function environment(options: NormalizedOptions, image: ImageDefaults, hostname: string, edits: SpecEdits): string[] {
  const variables = new Map<string, string>()
  const set = (variable: string): void => {
    const end = variable.indexOf('=')
    variables.set(variable.slice(0, end), variable.slice(end + 1))
  }
  const own = [defaultPath, 'container=podling', `HOSTNAME=${hostname}`, ...(options.tty ? [defaultTerm] : [])]
  for (const variable of [...own, ...(image.env ?? [])]) set(variable)
  for (const variable of edits.env) set(variable)
  for (const [name, value] of Object.entries(options.env)) variables.set(name, value)
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

function chooseHostname(options: NormalizedOptions, id: string, host: HostFacts): string {
  if (options.hostname !== undefined) return options.hostname
  if (options.pod?.share.includes('uts')) return options.pod.hostname
  const shared = options.uts === 'host' || options.network === 'host'
  return shared && host.hostname !== undefined ? host.hostname : id.slice(0, 12)
}

/** As the OCI process has it. */
export function consoleSize(tty: TerminalSize | undefined): Pick<SpecProcess, 'consoleSize'> {
  return tty === undefined ? {} : { consoleSize: { height: tty.rows, width: tty.columns } }
}

/** Numbers are taken as they are; anything with a name in it is left to the start, as `username`. */
function parseUser(user: string): { uid: number; gid: number; username?: string } {
  if (user === '' || user === '0' || user === '0:0') return { uid: 0, gid: 0 }
  const [uid = '', gid] = user.split(':')
  // A uid without a group needs /etc/passwd too: it says which group is that user's.
  if (/^\d+$/.test(uid) && gid !== undefined && /^\d+$/.test(gid)) {
    return { uid: Number(uid), gid: Number(gid), username: user }
  }
  return { uid: /^\d+$/.test(uid) ? Number(uid) : 0, gid: 0, username: user }
}

function chooseSeccomp(input: SpecInput, capabilities: readonly string[]): LinuxSeccomp | undefined {
  const chosen = profileOf(input, capabilities)
  return chosen !== undefined && input.guardsProjects ? guardingProjects(chosen) : chosen
}

function profileOf(
  { options, seccompProfile, host = {} }: SpecInput,
  capabilities: readonly string[],
): LinuxSeccomp | undefined {
  const { seccomp, privileged } = options
  const { arch = machine, kernel } = host
  const context = { arch, capabilities, ...(kernel === undefined ? {} : { kernel }) }
  switch (seccomp.kind) {
    case 'unconfined':
      return undefined
    case 'default':
      return privileged ? undefined : defaultSeccomp(context)
    case 'profile':
      return resolveSeccompProfile(seccomp.profile, context)
    case 'file':
      if (seccompProfile !== undefined) return resolveSeccompProfile(seccompProfile, context)
      throw new PodlingError('INVALID_OPTION', `seccomp: the profile ${seccomp.path} was not read`, {
        path: seccomp.path,
      })
  }
}

function chooseRlimits(options: NormalizedOptions, { limits = {}, rlimits = [] }: HostFacts): SpecRlimit[] {
  if (options.hostUlimits) return [...rlimits]
  const most = 1_048_576
  const chosen = new Map<string, SpecRlimit>()
  for (const [type, limit] of [
    ['RLIMIT_NOFILE', limits.nofile],
    ['RLIMIT_NPROC', limits.nproc],
  ] as const) {
    if (limit === undefined) continue
    const value = Math.min(limit, most)
    chosen.set(type, { type, soft: value, hard: value })
  }
  for (const limit of options.ulimits) chosen.set(limit.type, limit)
  return [...chosen.values()]
}

/**
 * A cgroup namespace too, also on cgroup v1, where Podman shares the host's: so /proc/self/cgroup tells nothing of the
 * host.
 */
function namespaces({ network, pidns, ipc, uts, userns }: NormalizedOptions): SpecNamespaceType[] {
  return [
    ...(userns === undefined ? [] : (['user'] as const)),
    ...(pidns === 'private' ? (['pid'] as const) : []),
    ...(network === 'host' ? [] : (['network'] as const)),
    ...(ipc === 'private' ? (['ipc'] as const) : []),
    ...(uts === 'private' ? (['uts'] as const) : []),
    'mount',
    'cgroup',
  ]
}

function resources(options: NormalizedOptions, edits: SpecEdits): LinuxResources {
  // A device of an image's belongs to the container's own root, whoever that is on the host: it must not open it.
  const all = options.privileged && options.userns === undefined
  const devices = [{ allow: all, access: 'rwm' }, ...edits.rules, ...options.devices.rules]
  return { devices, ...limitResources(options) }
}

/** Every group may send pings, as with Podman (icmp(7)); it is a parameter of the container's own network. */
function defaultSysctls({ network }: NormalizedOptions): Record<string, string> {
  // Namespaces that are another's are not for us to change.
  const own =
    network === 'none' || (typeof network === 'object' && (network.kind === 'networks' || network.kind === 'user'))
  return own ? { 'net.ipv4.ping_group_range': '0 0' } : {}
}

/** What the spec has words for. */
function specMount({ destination, type, source, options, uidMappings, gidMappings }: MountRequest): SpecMount {
  return {
    destination,
    ...(type === undefined ? {} : { type }),
    ...(source === undefined ? {} : { source }),
    ...(options === undefined ? {} : { options }),
    ...(uidMappings === undefined ? {} : { uidMappings }),
    ...(gidMappings === undefined ? {} : { gidMappings }),
  }
}

/** A mount of the caller's takes the place of a default one at the same path. */
function mergeMounts(base: readonly SpecMount[], own: readonly SpecMount[]): SpecMount[] {
  const replaced = new Map(own.map((mount) => [mount.destination, mount]))
  const kept = base.map((mount) => replaced.get(mount.destination) ?? mount)
  const present = new Set(base.map(({ destination }) => destination))
  const rest = own.filter(({ destination }) => !present.has(destination))
  // Parents first, else a mount would hide the one below it. The sort is stable.
  const depth = ({ destination }: SpecMount): number => destination.split('/').length
  const sorted = [...kept, ...rest].sort((a, b) => depth(a) - depth(b))
  checkShared(sorted)
  return sorted
}

/** What is mounted in a shared bind is mounted on the host as well, and would stay there. */
function checkShared(mounts: readonly SpecMount[]): void {
  const shared = mounts.filter(({ options = [] }) => options.includes('shared') || options.includes('rshared'))
  for (const { destination: outer } of shared) {
    const inner = mounts.find(({ destination }) => destination.startsWith(`${outer}/`))
    if (inner === undefined) continue
    throw new PodlingError(
      'INVALID_OPTION',
      `mounts: ${inner.destination} lies in ${outer}, whose mounts are shared with the host, so it would be mounted there ` +
        'too; choose another target, or another propagation',
    )
  }
}
