/** The one list of the steps that a launch plan can have: the helper does each as it is told (native/interpret.c). */
import type { LandlockMasks } from '../security/landlock.js'

/** Flags of one mount, as mount_setattr(2) and mount(8) name them. All default to false. */
export interface MountAttributes {
  readonly readOnly?: boolean
  readonly noSuid?: boolean
  readonly noDev?: boolean
  readonly noExec?: boolean
  readonly noSymFollow?: boolean
  readonly accessTime?: 'relatime' | 'noatime' | 'strictatime'
  readonly noDirAccessTime?: boolean
}

/**
 * Lines of uid_map and gid_map of user_namespaces(7): an id in the namespace, or on the disk, the id of the host that it is,
 * and how many follow.
 */
export interface IdMapTexts {
  readonly uid: string
  readonly gid: string
}

export type Propagation = 'private' | 'slave' | 'shared' | 'unbindable'

/**
 * One step inside the new process. A `target` or `path` of these is inside the container's root and is resolved with
 * openat2(RESOLVE_IN_ROOT) against the root's descriptor; a `source` is a path of the host, resolved before the pivot.
 * Steps run in order; the first that fails stops the start and is reported by its index.
 */
export type Operation =
  /** Make the whole mount tree of the new namespace private (or slave), so that nothing done here reaches the host. */
  | { readonly op: 'propagation'; readonly mode: 'private' | 'slave' | 'shared' }
  /** The root is an overlay of these host directories, topmost first. Without `upper` it is read-only. */
  | {
      readonly op: 'root-overlay'
      readonly lower: readonly string[]
      readonly upper?: string
      readonly work?: string
      /** Further options, such as `userxattr`, `volatile`, `metacopy=off`. */
      readonly options: readonly string[]
      /** An empty directory of the host where the root stands until the pivot; private to this mount namespace. */
      readonly at: string
    }
  /** The root is this host directory, bound onto itself. */
  | { readonly op: 'root-bind'; readonly source: string }
  /** A new file system (fsopen(2)) at `target`, which is made, a directory, where it is missing. */
  | {
      readonly op: 'mount'
      readonly fstype: string
      readonly source: string
      readonly target: string
      readonly attributes: MountAttributes
      /** File system options, `key` or `key=value`. */
      readonly options: readonly string[]
      /** Copy what the image has at `target` into the new tmpfs. */
      readonly copyUp?: boolean
      /** What SELinux is to call its root, where no option can say it. */
      readonly label?: string
    }
  /** A host path at `target`. A missing target is made: a file for a file, a directory for a directory. */
  | {
      readonly op: 'bind'
      readonly source: string
      /** A path inside of `source`, resolved there by openat2(RESOLVE_IN_ROOT): it can't lead out of it. */
      readonly subpath?: string
      readonly target: string
      readonly recursive: boolean
      /** Of what is mounted below, too, where it is `recursive`. */
      readonly attributes: MountAttributes
      /** Of its top alone, on top of those. */
      readonly top?: MountAttributes
      readonly propagation?: Propagation
      /** When the source is missing: skip the step instead of failing. */
      readonly optional?: boolean
      /** The slot of a `take` that has the source already. */
      readonly taken?: number
      /** Give all of it to this user, told as in `user`, before it is mounted. */
      readonly owner?: string
      /**
       * Have SELinux call all of it so (xattr(7)), before it is mounted; none of the `kept` paths of the host may be its top.
       * Nothing that is mounted below, and through no link.
       */
      readonly relabel?: { readonly label: string; readonly kept: readonly string[] }
      /** Ids of the files to ids of the host, as uid_map and gid_map have them (mount_setattr(2), MOUNT_ATTR_IDMAP). */
      readonly idMaps?: IdMapTexts
    }
  /** Mount at `target` what the keeper of a volume has mounted (native/keep.c), which listens at a socket of the host. */
  | { readonly op: 'adopt'; readonly keeper: string; readonly target: string }
  /** Keep what the root is now, or a path of it, for a later `bind`; the next root operation makes the container's own. */
  | { readonly op: 'keep-root'; readonly slot: number; readonly subpath?: string }
  /**
   * Keep a copy of a mount tree of the host for a later `bind`. Before `propagation` it is still a peer of the host's
   * mounts, which a shared or slave bind is to stay.
   */
  | {
      readonly op: 'take'
      /** 0 to 255. */
      readonly slot: number
      readonly source: string
      readonly subpath?: string
      readonly recursive: boolean
      /** The source is a path in the plan's `peer`; one step of a plan can have it. */
      readonly ofPeer?: boolean
      /** As of `bind`. */
      readonly owner?: string
      readonly idMaps?: IdMapTexts
    }
  /** Bind a directory of the host onto itself with its ids mapped, for what the root is made of. */
  | { readonly op: 'map-ids'; readonly path: string; readonly idMaps: IdMapTexts }
  /**
   * The steps before it are done with the rights of the host, by a stage; the new process begins with this one, as root of its
   * user namespace, and has the root and what was taken from there. Stands in a plan with `idMaps` alone.
   */
  | { readonly op: 'enter-user' }
  /**
   * Copy what the root has at `target` into a volume that is empty. Interrupted at any point, it leaves nothing of it in
   * the volume, or goes on the next time. No directory at `target`, or something in the volume: nothing is done.
   */
  | {
      readonly op: 'fill'
      readonly target: string
      /** Host path of the volume's data. */
      readonly data: string
      /** Host path of a directory of the same file system, where the copy is made. */
      readonly staging: string
      /** Host path of a directory that whoever fills the volume locks (flock(2)); no container can reach it. */
      readonly lock: string
      /** On the disk before the container starts. */
      readonly durable: boolean
    }
  | { readonly op: 'mkdir'; readonly path: string; readonly mode: number; readonly uid: number; readonly gid: number }
  | {
      readonly op: 'mknod'
      readonly path: string
      readonly type: 'c' | 'b' | 'p'
      readonly mode: number
      readonly major: number
      readonly minor: number
      readonly uid: number
      readonly gid: number
    }
  | { readonly op: 'symlink'; readonly target: string; readonly path: string }
  | { readonly op: 'write-file'; readonly path: string; readonly mode: number; readonly content: string | Uint8Array }
  /**
   * Lines at the end of the root's /etc/passwd and /etc/group, as far as these are there and have neither the name nor the id
   * already.
   */
  | ({ readonly op: 'account' } & PlanAccount)
  /** pivot_root(2) into the root, and detach the old one. Before it `source` paths work; after it only the container's. */
  | { readonly op: 'pivot-root' }
  /**
   * Hide a path: /dev/null over a file, an empty read-only tmpfs over a directory, which SELinux is to call `label`. A missing
   * path is skipped.
   */
  | { readonly op: 'mask'; readonly path: string; readonly label?: string }
  /** Bind a path onto itself read-only. A missing path is skipped. */
  | { readonly op: 'read-only'; readonly path: string }
  /** Make what is mounted at `path` read-only where it is, not what is mounted below it; `/` is the root. */
  | { readonly op: 'mount-read-only'; readonly path: string }
  | { readonly op: 'hostname'; readonly name: string }
  | { readonly op: 'domainname'; readonly name: string }
  /** Write one sysctl, `net.ipv4.ip_forward`, through a descriptor that is checked to be the kernel's procfs. */
  | { readonly op: 'sysctl'; readonly key: string; readonly value: string }
  | { readonly op: 'loopback-up' }
  /** The next so many steps are for the first start: what they do lasts through restarts, as the network namespace does. */
  | { readonly op: 'once'; readonly operations: number }
  /** Send messages of rtnetlink(7) in its own network namespace, once the monitor has made the plan's links. */
  | {
      readonly op: 'netlink'
      /** For messages: `configure the link eth0`. */
      readonly what: string
      /** Each with its ACK flag set; the first that the kernel refuses fails the step. */
      readonly messages: readonly Uint8Array[]
    }
  | { readonly op: 'rlimit'; readonly resource: number; readonly soft: bigint; readonly hard: bigint }
  | { readonly op: 'oom-score-adj'; readonly value: number }
  /** personality(2): 0 is Linux, 8 Linux of 32 bits. */
  | { readonly op: 'personality'; readonly persona: number }
  /** The members of sched_setattr(2). */
  | {
      readonly op: 'scheduler'
      readonly policy: number
      readonly flags: bigint
      readonly nice: number
      readonly priority: number
      readonly runtime: bigint
      readonly deadline: bigint
      readonly period: bigint
    }
  /** ioprio_set(2): class and level in one. */
  | { readonly op: 'io-priority'; readonly value: number }
  /** set_mempolicy(2), with a bit for each node; none at all where the mode takes none. */
  | { readonly op: 'memory-policy'; readonly mode: number; readonly nodes: Uint8Array }
  /**
   * sched_setaffinity(2), with a bit for each processor, none for all: before the process is in the container's cgroups, where
   * it is brought in, and from then on.
   */
  | { readonly op: 'affinity'; readonly initial: Uint8Array; readonly final: Uint8Array }
  | { readonly op: 'umask'; readonly mask: number }
  /** A session keyring of its own, so that the host's keys are out of reach. */
  | { readonly op: 'keyring' }
  | { readonly op: 'no-new-privs' }
  /**
   * What a security module is to make of the program that the process executes next, or of its session keyring: a file of
   * proc_pid_attr(5). Before the pivot, as it takes the host's /proc.
   */
  | { readonly op: 'attribute'; readonly name: 'exec' | 'keycreate' | 'apparmor/exec'; readonly value: string }
  /**
   * Only of a process that is brought into a container: from here on the container's own processes can see it, and those
   * with CAP_SYS_PTRACE do with it what they like. What takes more rights than they have comes before.
   */
  | { readonly op: 'enter-pids' }
  /**
   * Who the process is. `user` is what the image or caller says: `''`, `uid`, `name`, `uid:gid`, `name:group` ...,
   * looked up in the container's own /etc/passwd and /etc/group. What was found comes back with the start.
   */
  | {
      readonly op: 'user'
      readonly user: string
      /** Supplementary groups on top of those of /etc/group; names or numbers. */
      readonly groups: readonly string[]
      /** Set HOME from /etc/passwd unless the environment has one. */
      readonly setHome: boolean
    }
  /**
   * Who the process is, by numbers that are taken as they are, whatever names the image gives them. HOME is that of the first
   * user of this uid in /etc/passwd, or else `/`.
   */
  | {
      readonly op: 'ids'
      readonly uid: number
      readonly gid: number
      /** Supplementary groups; no others. */
      readonly groups: readonly number[]
      /** Set HOME unless the environment has one. */
      readonly setHome: boolean
    }
  /** The five capability sets, as bit masks (capabilities(7)). Takes effect together with `user`, in the right order. */
  | {
      readonly op: 'capabilities'
      readonly effective: bigint
      readonly permitted: bigint
      readonly inheritable: bigint
      readonly bounding: bigint
      readonly ambient: bigint
    }
  /** Load a classic BPF filter (seccomp(2)): `struct sock_filter[]` in host byte order. */
  | { readonly op: 'seccomp'; readonly filter: Uint8Array; readonly flags: number }
  /** Confine the process by landlock(7). Paths are looked up in the root. */
  | ({ readonly op: 'landlock' } & LandlockMasks)
  /** chdir inside the container, checked to lie below its root. `create`: make it when missing. */
  | { readonly op: 'chdir'; readonly path: string; readonly create: boolean }
  /**
   * Make a terminal in the container's devpts, give its master to the monitor, and become the leader of a session on it. Goes
   * with a {@link PlanStdio} of `terminal`.
   */
  | {
      readonly op: 'terminal'
      /** Characters; 0: unknown, as the kernel has it. */
      readonly columns: number
      readonly rows: number
      /** Mount it at /dev/console. */
      readonly console: boolean
    }
  /**
   * Run a program in the namespaces as they are by now, and go on when it has ended with 0. What it says on its standard error
   * comes back with its failure.
   */
  | {
      readonly op: 'hook'
      readonly stage: 'createContainer' | 'startContainer'
      /** Before the pivot a path of the host, behind it one of the container. */
      readonly path: string
      readonly argv: readonly string[]
      readonly env: readonly string[]
      /** What it reads on its standard input: JSON of an object, which the pid is added to, as it is in the container. */
      readonly state: string
      /** Seconds, then it is killed. @default 0: however long it takes */
      readonly timeout?: number
      /** Where it begins. @default where the process is */
      readonly directory?: string
      /** With the user, the capabilities and the filter that the steps up to the `init` or `exec` set. */
      readonly asProgram: boolean
    }
  /** Open the network namespace that the process is in, as a descriptor of this number that its program inherits. */
  | { readonly op: 'open-network'; readonly fd: number }
  /** Write the program of an init to a path of a file system that the container has to itself. */
  | { readonly op: 'place-init'; readonly path: string }
  /**
   * Stay as pid 1 that reaps and passes signals on; the following `exec` runs as its child (`init: true`). `program`: where the
   * init was placed; else, and where it can't be executed, it is the helper itself, which CRIU can't restore.
   */
  | { readonly op: 'init'; readonly program?: string }
  /** Tell the monitor that all is prepared and wait for its word to go on (OCI create and start told apart). */
  | { readonly op: 'barrier' }
  /**
   * Look for the program of the `exec` that follows, and live on without whoever made this process (native/detach.c).
   * `awaitsStart`: go on once somebody writes to the FIFO that the helper was given.
   */
  | { readonly op: 'part'; readonly program: string; readonly env: readonly string[]; readonly awaitsStart: boolean }
  /** Stay, for the namespaces' sake, and reap; end with SIGTERM. Stands in the place of an exec. */
  | { readonly op: 'hold' }
  /** In the place of an exec: look for a listener on a port of loopback, or for an answer to an HTTP GET of `path` there. */
  | { readonly op: 'probe'; readonly port: number; readonly path?: string }
  /** End with exit code 0: all was done by the steps before. Stands in the place of an exec. */
  | { readonly op: 'exit' }
  /** execve(2) of `argv`, found along the environment's PATH unless it has a slash. Always last. */
  | { readonly op: 'exec'; readonly argv: readonly string[]; readonly env: readonly string[] }

/** A user whom the container's own databases are to know (passwd(5), group(5)). */
export interface PlanAccount {
  readonly user: string
  readonly uid: number
  /** The whole line, with its end. */
  readonly passwd: string
  readonly group: string
  readonly gid: number
  /** The whole line of the group. */
  readonly members: string
}
