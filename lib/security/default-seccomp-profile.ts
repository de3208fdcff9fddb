/**
 * The default seccomp profile: what containers commonly need is allowed, what reaches past a container's namespaces is
 * refused with EPERM unless the container has the capability that it needs, and what neither list knows does not exist
 * (ENOSYS), so that programs fall back to older calls. In effect it equals Podman's seccomp.json of containers-common
 * 0.62, which a spec checks call by call; but for keyctl(2), see {@link defaultSeccomp}.
 */
import type { LinuxSeccomp } from './linux-seccomp.js'
import {
  resolveSeccompProfile,
  type SeccompContext,
  type SeccompProfile,
  type SeccompProfileRule,
} from './seccomp-profile.js'

/** Names apart by blanks. */
function list(text: string): string[] {
  return text.trim().split(/\s+/)
}

const files = list(`
  access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
  fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat
  fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown
  lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat
  openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename
  renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync
  sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes write
  writev`)

const attributes = list(`
  fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
  removexattr setxattr`)

/** The kernel asks for CAP_SYS_ADMIN of the user namespace that owns the mounts; a nested namespace may have it. */
const mounts = list(`
  fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root umount umount2`)

const waiting = list(`
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
  eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
  io_getevents io_setup io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select`)

const memory = list(`
  brk get_mempolicy madvise mbind membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2
  mprotect mremap msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages set_mempolicy`)

const processes = list(`
  capget capset clone clone3 execve execveat exit exit_group fork get_robust_list get_thread_area getpgid getpgrp
  getpid getppid getpriority getrlimit getrusage getsid gettid ioprio_get ioprio_set pidfd_getfd pidfd_open prctl
  prlimit64 process_mrelease process_vm_readv process_vm_writev ptrace rseq set_robust_list set_thread_area setns
  set_tid_address setpgid setpriority setrlimit setsid ugetrlimit unshare vfork wait4 waitid waitpid`)

const identities = list(`
  getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid
  getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid
  setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32`)

const scheduling = list(`
  futex futex_time64 getcpu sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
  sched_setparam sched_setscheduler sched_yield`)

const signals = list(`
  kill pause pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
  rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signal signalfd signalfd4
  sigprocmask sigreturn tgkill tkill`)

/** Reading clocks and making timers; that a clock can't be set is the work of CAP_SYS_TIME, which a container lacks. */
const time = list(`
  adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
  clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 times`)

const sockets = list(`
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
  send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`)

const interprocess = list(`
  ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
  msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`)

/** reboot(2) in a pid namespace of its own ends that namespace's init; keyctl(2) works on the container's own keyring. */
const system = list(`
  getrandom keyctl landlock_add_rule landlock_create_ruleset landlock_restrict_self reboot seccomp sysinfo syslog
  uname`)

/** Refused whatever the capabilities: obsolete, or reaching past the container. */
const refused = list(`
  bdflush cachestat futex_requeue futex_wait futex_waitv futex_wake io_pgetevents io_pgetevents_time64 kexec_file_load
  kexec_load map_shadow_stack migrate_pages move_pages nfsservctl nice oldfstat oldlstat oldolduname oldstat olduname
  pciconfig_iobase pciconfig_read pciconfig_write sgetmask ssetmask swapoff swapon syscall sysfs uselib userfaultfd
  ustat vm86 vm86old vmsplice`)

const EPERM = 1
const EINVAL = 22

function allow(names: readonly string[], more: Partial<SeccompProfileRule> = {}): SeccompProfileRule {
  return { names, action: 'SCMP_ACT_ALLOW', ...more }
}

function refuse(names: readonly string[], more: Partial<SeccompProfileRule> = {}): SeccompProfileRule {
  return { names, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM, ...more }
}

/** Calls that need a capability: allowed where the container has one of these, refused where it has none of them. */
function gated(caps: readonly string[], names: readonly string[]): SeccompProfileRule[] {
  return [...caps.map((cap) => allow(names, { includes: { caps: [cap] } })), refuse(names, { excludes: { caps } })]
}

/** Execution domains that only change what uname(2) says (personality(2)), and the question for the present one. */
const personalities = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff]

const AF_NETLINK = 16
const NETLINK_AUDIT = 9
const equals = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' }) as const
const differs = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_NE' }) as const

export const defaultSeccompProfile: SeccompProfile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrno: 'ENOSYS',
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
  ],
  syscalls: [
    allow([...files, ...attributes, ...mounts, ...waiting, ...memory, ...processes, ...identities]),
    allow([...scheduling, ...signals, ...time, ...sockets, ...interprocess, ...system]),
    refuse(refused),
    ...personalities.map((domain) => allow(['personality'], { args: [equals(0, domain)] })),
    // Audit is of the whole host: its sockets need CAP_AUDIT_WRITE. EINVAL is what a kernel without audit says.
    allow(['socket'], { includes: { caps: ['CAP_AUDIT_WRITE'] } }),
    refuse(['socket'], {
      excludes: { caps: ['CAP_AUDIT_WRITE'] },
      args: [equals(0, AF_NETLINK), equals(2, NETLINK_AUDIT)],
      errnoRet: EINVAL,
    }),
    allow(['socket'], { excludes: { caps: ['CAP_AUDIT_WRITE'] }, args: [differs(0, AF_NETLINK)] }),
    allow(['socket'], { excludes: { caps: ['CAP_AUDIT_WRITE'] }, args: [differs(2, NETLINK_AUDIT)] }),
    allow(list('arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2'), {
      includes: { arches: ['arm', 'arm64'] },
    }),
    allow(['arch_prctl'], { includes: { arches: ['amd64', 'x32'] } }),
    allow(['modify_ldt'], { includes: { arches: ['amd64', 'x32', 'x86'] } }),
    ...gated(['CAP_DAC_READ_SEARCH'], ['open_by_handle_at']),
    ...gated(['CAP_SYS_ADMIN'], list('fanotify_init lookup_dcookie quotactl quotactl_fd setdomainname sethostname')),
    ...gated(['CAP_SYS_ADMIN', 'CAP_BPF'], ['bpf']),
    ...gated(['CAP_SYS_CHROOT'], ['chroot']),
    ...gated(['CAP_SYS_MODULE'], list('delete_module finit_module init_module query_module')),
    ...gated(['CAP_SYS_PACCT'], ['acct']),
    ...gated(['CAP_SYS_PTRACE'], list('kcmp process_madvise')),
    ...gated(['CAP_SYS_RAWIO'], list('ioperm iopl')),
    ...gated(['CAP_SYS_TIME'], list('clock_settime clock_settime64 settimeofday stime')),
    ...gated(['CAP_SYS_TTY_CONFIG'], ['vhangup']),
    // Podman's file refuses it to all that lack CAP_SYS_ADMIN before it comes to CAP_PERFMON.
    refuse(['perf_event_open'], { excludes: { caps: ['CAP_SYS_ADMIN'] } }),
    allow(['perf_event_open'], { includes: { caps: ['CAP_PERFMON'] } }),
  ],
}

/** What a container that shares the host's users must not call, though Podman lets it. */
const keyrings = new Set(['keyctl'])

const withoutKeyrings: SeccompProfile = {
  ...defaultSeccompProfile,
  syscalls: (defaultSeccompProfile.syscalls ?? []).map((rule) => ({
    ...rule,
    names: (rule.names ?? []).filter((name) => !keyrings.has(name)),
  })),
}

const resolved = new Map<string, LinuxSeccomp>()

/**
 * The default profile for a container. Keyrings belong to users and know nothing of containers: root of one without a user
 * namespace of its own is the host's root to them, and could link that one's keyring to its own session and read it
 * (keyrings(7)). So there keyctl(2) doesn't exist, as on a kernel without keyrings. The same object for the same conditions, frozen, so that it is compiled once;
 * there are only as many as there are sets of capabilities.
 */
export function defaultSeccomp(context: SeccompContext & { readonly ownUsers?: boolean }): LinuxSeccomp {
  const gates = gatingCapabilities.filter((name) => context.capabilities.includes(name))
  const key = [context.arch, context.ownUsers ?? false, ...gates].join(' ')
  let seccomp = resolved.get(key)
  if (seccomp === undefined) {
    seccomp = deepFreeze(resolveSeccompProfile(context.ownUsers ? defaultSeccompProfile : withoutKeyrings, context))
    resolved.set(key, seccomp)
  }
  return seccomp
}

/** The capabilities that some rule asks about. */
const gatingCapabilities = [
  ...new Set(
    (defaultSeccompProfile.syscalls ?? []).flatMap(({ includes, excludes }) => [
      ...(includes?.caps ?? []),
      ...(excludes?.caps ?? []),
    ]),
  ),
]

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value
}
