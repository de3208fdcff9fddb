/**
 * Whether Podling can work on this machine, and what its kernel can do. Looking (probeHost) is apart from judging
 * (checkHost, kernelFeatures), which is pure, so that machines nobody has at hand can be judged in a test.
 */
import { PodlingError } from '../errors.js'

/** The oldest kernel that has all that the launch path is built on; mount_setattr (5.12) and cgroup.kill (5.14) are the last. */
export const OLDEST_KERNEL = { major: 5, minor: 15 } as const

export interface KernelVersion {
  readonly major: number
  readonly minor: number
  readonly patch: number
}

/** What was seen of the machine. Files that aren't there are absent. */
export interface HostFacts {
  /** `process.platform`. */
  readonly platform: string
  /** uname -r, such as `6.1.0-18-amd64`. */
  readonly release: string
  readonly euid: number
  /** /proc/self/uid_map. */
  readonly uidMap?: string
  /** /proc/self/status. */
  readonly status?: string
  /** /proc/filesystems. */
  readonly filesystems?: string
  /** Names in the list of modules that can be loaded: modules.dep and modules.builtin. */
  readonly modules?: string
  /** /proc/sys/kernel/seccomp/actions_avail. */
  readonly seccompActions?: string
  /** /sys/kernel/security/lsm. */
  readonly securityModules?: string
  /** /proc/self/attr/apparmor/current (aa_getcon(2)): a profile and its mode, such as `node (enforce)`, or `unconfined`. */
  readonly apparmorProfile?: string
  /** Names in /proc/self/ns. */
  readonly namespaces: readonly string[]
  /** sysctls by name, as text. */
  readonly sysctls: Readonly<Record<string, string>>
  /** System calls that answer ENOSYS: too old a kernel, or an outer container's seccomp filter. */
  readonly missingCalls: readonly string[]
  /** landlock(7) ABI, 0 for none. */
  readonly landlock: number
  /** Whether /dev/fuse is there, and this process may open it. */
  readonly fuse: boolean
}

/** What the kernel offers, for `runtime.info()`. */
export interface KernelFeatures {
  readonly overlay: boolean
  readonly erofs: boolean
  readonly fuse: boolean
  readonly seccomp: boolean
  /** Seccomp can hand a call to another process (Linux 5.0). */
  readonly seccompNotify: boolean
  /** The caller can make user namespaces. */
  readonly userNamespaces: boolean
  readonly timeNamespaces: boolean
  /** landlock(7) ABI version, 0 for none. */
  readonly landlock: number
  readonly openat2: boolean
  /** clone3(2) is there, and with it births in a cgroup2 directory. */
  readonly cloneIntoCgroup: boolean
  /** overlay(5) can stand on id-mapped layers (Linux 5.19). */
  readonly idmappedOverlay: boolean
  /** Security modules in use, such as `apparmor`, `selinux`. */
  readonly securityModules: readonly string[]
}

/** Read the numbers out of a release string; what distributions append is left aside. */
export function parseKernelRelease(release: string): KernelVersion | undefined {
  const [, major, minor, patch] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release) ?? []
  if (major === undefined || minor === undefined) return undefined
  return { major: Number(major), minor: Number(minor), patch: Number(patch ?? 0) }
}

/** Whether a version is at least major.minor. */
export function isAtLeast(version: KernelVersion, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor)
}

const CAP_SYS_ADMIN = 21n

/** Whether the process may mount, make namespaces and so on without a user namespace of its own. */
export function isPrivileged(facts: Pick<HostFacts, 'euid' | 'status'>): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(facts.status ?? '')?.[1]
  if (effective === undefined) return facts.euid === 0
  return ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n
}

/**
 * Whether containers are in another user namespace than the machine's first one, whose root alone can make devices and
 * mount what he likes: in one of Podling's own, or in that which Podling was started in.
 */
export function isConfined(facts: Pick<HostFacts, 'euid' | 'status' | 'uidMap'>): boolean {
  if (!isPrivileged(facts)) return true
  return facts.uidMap !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(facts.uidMap)
}

/** Why user namespaces can't be made by this caller, with the remedy; undefined when they can. */
export function userNamespaceObstacle(facts: HostFacts): string | undefined {
  if (!facts.namespaces.includes('user')) {
    return 'this kernel is built without user namespaces (CONFIG_USER_NS); boot another kernel'
  }
  if (facts.sysctls['user.max_user_namespaces'] === '0') {
    return 'user.max_user_namespaces is 0; as root: sysctl -w user.max_user_namespaces=15000'
  }
  if (isPrivileged(facts)) return undefined
  if (facts.sysctls['kernel.unprivileged_userns_clone'] === '0') {
    return 'kernel.unprivileged_userns_clone is 0; as root: sysctl -w kernel.unprivileged_userns_clone=1'
  }
  if (facts.sysctls['kernel.apparmor_restrict_unprivileged_userns'] === '1' && profileOf(facts) === undefined) {
    return (
      'AppArmor keeps user namespaces from programs without a profile that grants them; as root: ' +
      'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give your program a profile with "userns,"'
    )
  }
  return undefined
}

/**
 * Why the kernel may have refused user namespaces that nothing known here forbids, with the remedy: what the rules of a profile
 * are, nobody but root can tell.
 */
export function userNamespaceSuspect(facts: Pick<HostFacts, 'apparmorProfile'>): string | undefined {
  const profile = profileOf(facts)
  if (profile === undefined) return undefined
  return `the AppArmor profile ${profile}, which this process has, may grant none; give it the rule "userns,"`
}

/** The AppArmor profile of this process, where it has one. */
function profileOf({ apparmorProfile = 'unconfined' }: Pick<HostFacts, 'apparmorProfile'>): string | undefined {
  return apparmorProfile === 'unconfined' ? undefined : apparmorProfile.replace(/ \(\w+\)$/, '')
}

/**
 * Judge whether Podling can work here.
 * @throws PLATFORM_UNSUPPORTED: not Linux. KERNEL_UNSUPPORTED: older than 5.15, or a system call is kept away.
 * PERMISSION_DENIED: neither privileged nor able to make user namespaces.
 */
export function checkHost(facts: HostFacts): void {
  if (facts.platform !== 'linux') {
    throw new PodlingError(
      'PLATFORM_UNSUPPORTED',
      `Podling runs on Linux, and this is ${facts.platform}; run it in a Linux virtual machine`,
    )
  }
  const version = parseKernelRelease(facts.release)
  const { major, minor } = OLDEST_KERNEL
  if (version === undefined || !isAtLeast(version, major, minor)) {
    throw new PodlingError(
      'KERNEL_UNSUPPORTED',
      `Podling needs Linux ${String(major)}.${String(minor)} or newer, and this machine runs ${facts.release}; boot a newer kernel`,
    )
  }
  if (facts.missingCalls.length > 0) {
    throw new PodlingError(
      'KERNEL_UNSUPPORTED',
      `Linux ${facts.release} has these system calls, but they are kept away from this process: ` +
        `${facts.missingCalls.join(', ')}; when it runs in a container, loosen that container's seccomp profile`,
    )
  }
  if (isPrivileged(facts)) return
  const obstacle = userNamespaceObstacle(facts)
  if (obstacle === undefined) return
  const who = facts.euid === 0 ? 'root here lacks CAP_SYS_ADMIN' : `user ${String(facts.euid)} is not root`
  throw new PodlingError(
    'PERMISSION_DENIED',
    `${who}, so containers need user namespaces, which can't be made: ${obstacle}, or run as root`,
  )
}

/** What the facts say about features. */
export function kernelFeatures(facts: HostFacts): KernelFeatures {
  const version = parseKernelRelease(facts.release) ?? { major: 0, minor: 0, patch: 0 }
  const filesystem = (name: string): boolean =>
    new RegExp(`\\b${name}$`, 'm').test(facts.filesystems ?? '') ||
    new RegExp(`/${name}\\.ko\\b`, 'm').test(facts.modules ?? '')
  const actions = (facts.seccompActions ?? '').split(/\s+/)
  return {
    overlay: filesystem('overlay'),
    erofs: filesystem('erofs'),
    fuse: facts.fuse && filesystem('fuse'),
    seccomp: /^Seccomp:/m.test(facts.status ?? ''),
    seccompNotify: actions.includes('user_notif'),
    userNamespaces: userNamespaceObstacle(facts) === undefined,
    timeNamespaces: facts.namespaces.includes('time'),
    landlock: facts.landlock,
    openat2: !facts.missingCalls.includes('openat2'),
    cloneIntoCgroup: !facts.missingCalls.includes('clone3'),
    idmappedOverlay: isAtLeast(version, 5, 19),
    securityModules: (facts.securityModules ?? '')
      .split(',')
      .flatMap((name) => (name.trim() === '' ? [] : [name.trim()])),
  }
}
