import type { PortOption } from '../network/ports.js'
import type { LandlockOption } from '../security/landlock.js'
import type { SeccompProfile } from '../security/seccomp-profile.js'
import type { SelinuxOption } from '../security/selinux.js'
import type { Duration, Size } from '../schema/quantities.js'
import type { SpecHooks } from '../launch/oci-spec.js'
import type { HealthOption } from './health/options.js'
import type { LimitOptions } from './limits/options.js'
import type { LogDriver, LogDriverOptions } from './log/settings.js'
import type { TerminalSize } from './terminal/size.js'
import type { IdMappingOption, UserNamespaceOption } from './userns/options.js'

/**
 * What a container is to be: the words of podman-run(1)'s flags in camelCase. All but `image` may be left out; what is
 * left out is as `podman run` has it, or as the image says.
 */
export interface ContainerOptions extends LimitOptions {
  /** The image, as {@link Images} gave it, or its name or id. */
  readonly image: string | { readonly id: string }
  /**
   * What runs, one string an argument. Follows the entrypoint, and stands in for the image's command.
   * @default the image's command; nothing, when `entrypoint` is given
   */
  readonly command?: readonly string[]
  /**
   * What `command` is an argument of (`--entrypoint`). A string is one argument. `''`: none, though the image has one.
   * @default the image's entrypoint
   */
  readonly entrypoint?: string | readonly string[]
  /** Environment variables on top of the image's (`--env`). An undefined value counts as not given. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * The directory that the process starts in, absolute (`--workdir`), made where it is missing.
   * @default the image's, or `/`
   */
  readonly workdir?: string
  /**
   * Who the process is (`--user`): `'name'`, `'uid'`, `'name:group'`, `'uid:gid'`. Names are looked up in the
   * container's own /etc/passwd and /etc/group. A number is a uid.
   * @default the image's user, or root
   */
  readonly user?: string | number
  /**
   * Unique among the containers of the runtime's root (`--name`): letters, digits, `_`, `.` and `-`.
   * @default two random words
   */
  readonly name?: string
  /**
   * (`--hostname`) At most 64 letters, digits, `-`, `.` and `_`.
   * @default the first 12 digits of the container's id; the host's own with `uts: 'host'` or `network: 'host'`
   */
  readonly hostname?: string
  /** For finding it again; no effect on the container (`--label`). */
  readonly labels?: Readonly<Record<string, string>>
  /** For other programs; written into the OCI spec (`--annotation`). */
  readonly annotations?: Readonly<Record<string, string>>

  /** File systems to mount (`--mount`). */
  readonly mounts?: readonly MountOption[]
  /**
   * (`--volume`) `'name:/path'`: a volume, made where it is missing. `'/path'`: one of the container's own. Both begin with
   * what the image has there, unless `nocopy` is said. `'/host:/path'`: a path of the host. Options follow a further `:`,
   * `'data:/var/lib/data:ro,noexec'`; those of podman-run(1) but `O`.
   */
  readonly volumes?: readonly string[]
  /** Empty file systems in memory, `'/path'` or `'/path:size=64m,mode=700'` (`--tmpfs`). */
  readonly tmpfs?: readonly string[]
  /**
   * The root file system can't be written (`--read-only`); /dev/shm, /run, /tmp and /var/tmp are in memory and can.
   * @default false
   */
  readonly readOnly?: boolean

  /**
   * `'bridge'`: the default network, `podling`. `'none'`: a network of its own with nothing but loopback. `'host'`: the
   * host's. The name of a network, or several, as {@link Networks} has them: eth0, eth1 and so on. `'container:NAME'`:
   * that of another container. `'ns:PATH'`: the network namespace at this path of the host (`--network`). `'pod'`: that of
   * its pod.
   * `'pasta'`, `'slirp4netns'`: its own, by a program of that name, which needs no rights over the host's network.
   * @default 'bridge'; for a process without root's rights `'pasta'`; in a pod that shares its network `'pod'`
   */
  readonly network?: string | readonly string[]
  /**
   * Ports of the container that are reached by ports of the host (`--publish`): `80` (a free port of the host),
   * `'8080:80'`, `'127.0.0.1:8080:80/tcp'`, `'8000-8010:80-90'`, or objects. What was bound, {@link Container.ports} tells.
   */
  readonly ports?: readonly PortOption[]
  /** Further names by which others on its networks find it (`--network-alias`). */
  readonly networkAliases?: readonly string[]
  /** A fixed IPv4 address on its (first) network (`--ip`). @default a free one */
  readonly ip?: string
  /** A fixed IPv6 address on its (first) network (`--ip6`). @default a free one */
  readonly ip6?: string
  /** Of its link on its (first) network, `'02:00:00:00:00:01'` (`--mac-address`). @default one made from its address */
  readonly mac?: string
  /**
   * Lines of /etc/hosts, `'name:address'`; `'name:host-gateway'`: the address by which it reaches services of the host
   * (`--add-host`).
   */
  readonly extraHosts?: readonly string[]
  /**
   * The names host.containers.internal and host.docker.internal lead to the host, as with Podman: by a bridge's own address, or,
   * with pasta, by one that stands for the host's. Services that listen on the host's loopback alone are not reached.
   * `false`: there are no such names, and pasta has no such address. What a host without Podling lets in from its networks,
   * it lets in all the same: that is its firewall's to say.
   * @default true
   */
  readonly hostGateway?: boolean
  /** Addresses of name servers for /etc/resolv.conf (`--dns`). @default the host's */
  readonly dns?: readonly string[]
  /**
   * Domains in which names without a dot are looked for, `search` of resolv.conf(5); `['.']`: in none (`--dns-search`). On
   * networks with names, the domain of these comes first. @default the host's
   */
  readonly dnsSearch?: readonly string[]
  /** What the resolver is to do otherwise, `['ndots:2', 'rotate']`: `options` of resolv.conf(5) (`--dns-option`). @default the host's */
  readonly dnsOptions?: readonly string[]

  /**
   * getrlimit(2) by name, `{ nofile: 1024, core: { soft: 0, hard: -1 } }`, or `['nofile=1024:2048']`; -1: no limit (`--ulimit`).
   * `'host'`: all of this process. Above a hard limit of its own this process can give nothing without CAP_SYS_RESOURCE.
   * @default nofile and nproc: 1048576, or the most that the host's process may give
   */
  readonly ulimits?:
    | 'host'
    | Readonly<Partial<Record<UlimitName, number | { readonly soft: number; readonly hard: number }>>>
    | readonly string[]
  /**
   * Devices of the host, `'/dev/fuse'`, `'/dev/sda:/dev/xvda:r'` with the name in the container and any of read, write and
   * mknod; of a directory all below it (`--device`). Or names of the Container Device Interface, `'nvidia.com/gpu=0'`, as
   * files in /etc/cdi and /var/run/cdi tell what they need.
   */
  readonly devices?: readonly string[]
  /** Further devices that it may use when it has nodes of them, `['c 189:* rmw']` (`--device-cgroup-rule`). */
  readonly deviceCgroupRules?: readonly string[]
  /**
   * Programs of the host to run at points of its life, with its state as JSON on their standard input (runtime-spec,
   * "POSIX-platform Hooks"): `prestart` and `createRuntime` before its command, `poststart` behind, `poststop` at its end;
   * none of these together with `restart`. And programs in its own namespaces: `createContainer` is of the host and has all
   * rights of the container's root, `startContainer` is of the image and has those of its command. One that fails, or isn't
   * done in its `timeout` of seconds, keeps the container from running. Of this process's environment they see nothing.
   */
  readonly hooks?: SpecHooks
  /** How readily it is killed when the host is out of memory, -1000 to 1000 (`--oom-score-adj`). @default the host process's */
  readonly oomScoreAdj?: number
  /** The size of /dev/shm (`--shm-size`). @default '64m' */
  readonly shmSize?: Size
  /** Kernel parameters of its own namespaces (`--sysctl`): net.*, fs.mqueue.*, and the IPC ones of kernel.*. */
  readonly sysctls?: Readonly<Record<string, string | number>>

  /** Capabilities beyond the default ones, `'NET_ADMIN'`, `'ALL'` (`--cap-add`, capabilities(7)). */
  readonly capAdd?: readonly string[]
  /** Default capabilities to do without, `'CHOWN'`, `'ALL'` (`--cap-drop`). */
  readonly capDrop?: readonly string[]
  /**
   * Which system calls may be made (`--security-opt seccomp=`): the path of a profile in Docker's JSON format, such a
   * profile as an object, or `'unconfined'`.
   * @default a profile that allows what containers commonly need; unconfined with `privileged`
   */
  readonly seccomp?: string | SeccompProfile
  /**
   * No program can gain rights by set-uid bits or file capabilities (`--security-opt no-new-privileges`).
   * @default false
   */
  readonly noNewPrivileges?: boolean
  /**
   * All capabilities and devices, no seccomp filter, nothing masked or read-only (`--privileged`). Such a container can
   * do to the host what root can; with a user namespace of its own (`userns`) it has the usual devices alone, and can't.
   * @default false
   */
  readonly privileged?: boolean
  /** Further paths to hide, absolute (`--security-opt mask=`). @default [] */
  readonly mask?: readonly string[]
  /**
   * Which of the kernel's files that are hidden or read-only by default shall be as they are, `'ALL'` or paths, which may have
   * wildcards, `['/proc/*']` (`--security-opt unmask=`). @default []
   */
  readonly unmask?: 'ALL' | readonly string[]
  /**
   * Rules of landlock(7), which bind its programs whoever they are. `exec` has them too. @default none
   */
  readonly landlock?: LandlockOption
  /**
   * What SELinux calls its processes and files (`--security-opt label=`). Where there is no SELinux, anything but `disable` is
   * refused. A container of a pod has the pod's level.
   * @default as the policy says, with a level of its own where SELinux is on, and disabled with `privileged`, `ipc: 'host'` and
   * `pidns: 'host'`; nothing elsewhere
   */
  readonly selinux?: SelinuxOption
  /**
   * The AppArmor profile of its programs, which must be loaded, or `'unconfined'` (`--security-opt apparmor=`). Where there is
   * no AppArmor, a profile is refused.
   * @default `'podling-default'`, which is loaded at its first use, where AppArmor is on and this process may load it; else,
   * and with `privileged`, unconfined
   */
  readonly apparmor?: string
  /** `'private'`: System V IPC, POSIX queues and /dev/shm of its own. `'host'`: the host's (`--ipc`). @default 'private' */
  readonly ipc?: 'private' | 'host'
  /** `'private'`: sees its own processes only. `'host'`: sees the host's (`--pid`). @default 'private' */
  readonly pidns?: 'private' | 'host'
  /** `'private'`: a host name of its own. `'host'`: the host's (`--uts`). @default 'private' */
  readonly uts?: 'private' | 'host'
  /**
   * Who its users are on the host (`--userns`, user_namespaces(7)). `'host'`: the same. `'auto'`: ids that no other container
   * of the root has, out of the ranges of the user `containers` in /etc/subuid and /etc/subgid; also
   * `'auto:size=8192,uidmapping=0:1000:1'`, or an object. Nothing of the image is copied for it: the kernel maps the ids of its
   * files, which takes Linux 5.19 and a file system that can. Files of the host that are bound in keep their owners; those that
   * are none of the container's users show as nobody's. Its root has no rights over the host, whatever its capabilities; mounts that
   * are shared with the host only receive. `'container:NAME'`: that of another container, which must run when this one starts. A
   * container of a pod has the pod's: it is given to `pods.create`, and refused here.
   *
   * For an ordinary user, ids 'of the host' are those that his containers have without one: 0 is he himself, and the ids of his ranges
   * follow from 1 on. `'auto'` takes of those. `'keep-id'`: he is himself in the container too, so that what he owns is his there
   * and what it writes is his on the host; it runs as him, unless it or its image names a user, and its /etc/passwd knows him. Also
   * `'keep-id:uid=1000,gid=1000,size=10000'`; as root it is `'host'`. `'nomap'`: he is nobody in it; not as root. The files of the
   * image are copied once for each map, as Podman does it, since the kernel maps no ids for him.
   * @default 'host', or 'private' with `uidMap` or `gidMap`
   */
  readonly userns?: string | UserNamespaceOption
  /**
   * Which users of the host its users are (`--uidmap`): `['0:100000:65536']`, or `{ containerId, hostId, size }`; 0 must be
   * among them. Up to 339 entries. @default as `gidMap`, where that is given
   */
  readonly uidMap?: readonly IdMappingOption[]
  /** The same of groups (`--gidmap`). @default as `uidMap`, where that is given */
  readonly gidMap?: readonly IdMappingOption[]
  /** The file mode creation mask, `0o022` or `'0022'` (`--umask`). @default 0o022 */
  readonly umask?: number | string

  /**
   * The pod that it is in, by name or id, or as {@link Pods} gave it (`--pod`): it shares what the pod shares, unless it has
   * an option of its own for it (`ipc`, `uts`, `pidns`), and its limits are within the pod's. @default none
   */
  readonly pod?: string | { readonly id: string }
  /**
   * Containers of the same pod that must run, be healthy, or have ended well, before it starts (`--requires`). They are
   * started first, where they don't run. @default none
   */
  readonly dependsOn?: readonly DependencyOption[]
  /**
   * It runs to its end before the other containers of its pod are started (`--init-ctr`): `'once'`, at the pod's first
   * start, and is removed then; `'always'`, at each one. @default neither
   */
  readonly initContainer?: 'once' | 'always'

  /** What `stop()` sends first, `'SIGTERM'`, `15` (`--stop-signal`). @default the image's, or SIGTERM */
  readonly stopSignal?: string | number
  /** How long `stop()` waits after it before SIGKILL (`--stop-timeout`). @default '10s' */
  readonly stopTimeout?: Duration
  /**
   * Whether it is started again when it has ended (`--restart`): never; when its exit code isn't 0, at most N times with
   * `on-failure:N`; or however it ended. Its monitor does it, whether this process lives or not, in the same network and on
   * what it has written: after 100 ms, then twice as long each time up to a minute, and after 100 ms again when it has run
   * for ten seconds. `stop()`, and `kill()` with its stop signal or SIGKILL, end that. `unless-stopped` differs from
   * `always` only after a reboot, see {@link Runtime.start}. A container that isn't detached ends with this process all
   * the same.
   * @default 'no'
   */
  readonly restart?: 'no' | 'on-failure' | `on-failure:${number}` | 'always' | 'unless-stopped'
  /**
   * Whether it is healthy, and what that means (`--health-cmd` and its like). Its monitor checks it, whether this process lives
   * or not. `'none'` or `false`: nobody checks it, though its image says how.
   * @default the image's HEALTHCHECK, or none
   */
  readonly health?: HealthOption | 'none' | false
  /** A small pid 1 that reaps orphans and passes signals on; the command runs as its child (`--init`). @default false */
  readonly init?: boolean
  /**
   * `false`: the container is bound to this process, and ends with it however it ends. `true`: it goes on (`--detach`).
   * @default false
   */
  readonly detach?: boolean
  /**
   * A terminal (pty(7)) as its standard input, output and error, and as /dev/console (`--tty`); of this size, or of none that it
   * knows of, until {@link Container.resize}. TERM is then `xterm`, unless the image or `env` says another.
   * @default false
   */
  readonly tty?: boolean | TerminalSize
  /**
   * It takes input from those who attach (`--interactive`), and waits for it whether one is attached or not. Otherwise its
   * standard input is /dev/null, or a terminal that nobody types on.
   * @default false
   */
  readonly stdin?: boolean
  /**
   * With `stdin`: its standard input ends when the last who is attached ends its own, as with `podman run --interactive`.
   * On a terminal the end is typed, as Ctrl-D.
   * @default false
   */
  readonly stdinOnce?: boolean
  /**
   * Where output goes (`--log-driver`): a file in Podman's or Docker's format, systemd-journald, the streams of this
   * process (none of which may be a terminal), or nowhere. `logs()` reads the first three. journald drops what comes too
   * quickly (RateLimitBurst= in journald.conf(5)), a unit's lines together, and says so in the journal alone: nobody counts
   * those as lost. @default 'k8s-file'
   */
  readonly logDriver?: LogDriver
  /** `--log-opt`. @default {} */
  readonly logOptions?: LogDriverOptions
  /**
   * What becomes of the container when a line can't be kept, as the disk is full or journald is gone: it goes on, lines are
   * lost and counted (see the event `logLost`); or it is killed at once, and does nothing that isn't logged;
   * its restart policy doesn't start it again then.
   * @default 'continue'
   */
  readonly logOnFull?: 'continue' | 'stop'
  /**
   * Most that the container may keep in its own root file system (`--storage-opt`), volumes apart: bytes, and inodes. With
   * the driver vfs the copy of the image counts too. Writes beyond it fail with ENOSPC or EDQUOT. Needs ext4 or XFS with
   * project quotas, see `info().quotas`; a container that is privileged, unconfined by seccomp or has CAP_SYS_RESOURCE can
   * get around it. For one that is restored from a checkpoint it begins anew: what was written before is its image's.
   * @default no limit
   */
  readonly storageOpt?: StorageOption
  /** Which of an image's platforms, `'linux/arm64'` (`--platform`). @default the host's */
  readonly platform?: string
  /** What `run()` waits for. An array: all of them. @default nothing but the start */
  readonly ready?: ReadyOption | readonly ReadyOption[]
}

/** The quota of a container's root file system. */
export interface StorageOption {
  /** At least 1m. @default no limit */
  readonly size?: Size
  /** Files, directories and whatever else has an inode. @default no limit */
  readonly inodes?: number
}

/** What a container waits for before it starts: another one of its pod, by name or id. */
export type DependencyOption =
  | string
  | {
      readonly container: string
      /** `'started'`: it runs. `'healthy'`: its check says so. `'completed'`: it has ended with 0. @default 'started' */
      readonly condition?: 'started' | 'healthy' | 'completed'
    }

/** One of the mounts of {@link ContainerOptions}. */
export type MountOption = BindMountOption | VolumeMountOption | ImageMountOption | TmpfsMountOption

/** A file or directory of the host (`--mount type=bind`). */
export interface BindMountOption extends MountFlagOptions, MountOwnerOptions {
  readonly type: 'bind'
  /** Absolute path on the host; it must exist. */
  readonly source: string
  /** Absolute path in the container; made where it is missing. */
  readonly target: string
  /** Take along what is mounted below `source`. @default true */
  readonly recursive?: boolean
  /** Whether later mounts below pass to the container and back (mount_namespaces(7)). @default 'private' */
  readonly propagation?: 'private' | 'slave' | 'shared'
}

/** A volume (`--mount type=volume`). */
export interface VolumeMountOption extends MountFlagOptions, MountOwnerOptions {
  readonly type: 'volume'
  /** Its name; made where it is missing. @default one of the container's own, which goes with it */
  readonly source?: string
  /** Absolute path in the container; made where it is missing. */
  readonly target: string
  /**
   * A path in the volume, which must exist, instead of all of it. Links in it lead nowhere outside of the volume.
   * @default all of it
   */
  readonly subpath?: string
  /** Don't begin with what the image has at `target`. @default false */
  readonly noCopy?: boolean
}

/** The files of an image (`--mount type=image`). */
export interface ImageMountOption extends Omit<MountFlagOptions, 'readOnly'> {
  readonly type: 'image'
  /** The image, by its name or id. It must be here. */
  readonly source: string
  /** Absolute path in the container; made where it is missing. */
  readonly target: string
  /** A path in the image, which must exist, instead of all of it. @default all of it */
  readonly subpath?: string
  /** `false`: it can be written to, and what is written goes with the container. @default true */
  readonly readOnly?: boolean
}

/** An empty file system in memory (`--mount type=tmpfs`, tmpfs(5)). It begins with what the image has at `target`. */
export interface TmpfsMountOption extends MountFlagOptions {
  readonly type: 'tmpfs'
  /** Absolute path in the container; made where it is missing. */
  readonly target: string
  /** @default half of the host's memory, or of what `memory` leaves */
  readonly size?: Size
  /** Of its root directory, `0o700` or `'700'`. @default that of the image's directory; 0o1777 where it has none */
  readonly mode?: number | string
}

/** Whose the files of a mount are. */
export interface MountOwnerOptions {
  /** Give all that is in it to the container's user, on the host too (`U` of `--volume`). @default false */
  readonly chown?: boolean
  /**
   * Where SELinux is on, have all that is in it called as what this container alone has, or as what all have (`Z` and `z` of
   * `--volume`), on the host too. What the machine itself is made of is refused, /etc and the like. @default as it is
   */
  readonly relabel?: 'private' | 'shared'
  /**
   * Show its files as others' than they are stored as (`idmap` of `--volume`, mount_setattr(2)). `'container'`: what is stored as
   * somebody's is his of the same id in the container's own user namespace. As root alone. @default as they are stored
   */
  readonly idmap?: 'container' | IdMapOption
}

/** Which ids of files are seen as which. Those in no range are seen as 65534, and can't be written as. */
export interface IdMapOption {
  readonly uids: readonly IdMapRange[]
  readonly gids: readonly IdMapRange[]
  /** `seen` counts as the container does, in its own user namespace (`@` of Podman). @default false, as the host does */
  readonly relative?: boolean
}

export interface IdMapRange {
  /** The first id as it is stored. */
  readonly files: number
  /** The first id as it is seen. */
  readonly seen: number
  /** How many ids, one after the other. */
  readonly size: number
}

export interface MountFlagOptions {
  /** @default false */
  readonly readOnly?: boolean
  /** Set-uid bits have no effect. @default false for binds, true for volumes and tmpfs */
  readonly noSuid?: boolean
  /** Device nodes don't work. @default false for binds, true for volumes and tmpfs */
  readonly noDev?: boolean
  /** Programs can't be started from it. @default false */
  readonly noExec?: boolean
}

/** One thing that `run()` waits for. */
export type ReadyOption = {
  /** How long at most. @default '60s' */
  readonly timeout?: Duration
} & (
  | { /** A TCP port of the container that accepts connections. */ readonly port: number; readonly http?: undefined }
  | {
      /** A path that answers this host's GET. With `network: 'host'` or networks alone: others the host can't reach. */
      readonly http: string
      readonly port: number
      /** @default 200 to 399 */
      readonly status?: number
    }
  | { /** Output that has a line like this. */ readonly log: RegExp | string }
  | { /** A program in the container that ends with 0. */ readonly command: readonly string[] }
  | { /** Its health check succeeds. */ readonly healthy: true }
)

/** The limits of getrlimit(2), without `RLIMIT_`. */
export type UlimitName =
  | 'as'
  | 'core'
  | 'cpu'
  | 'data'
  | 'fsize'
  | 'locks'
  | 'memlock'
  | 'msgqueue'
  | 'nice'
  | 'nofile'
  | 'nproc'
  | 'rss'
  | 'rtprio'
  | 'rttime'
  | 'sigpending'
  | 'stack'
