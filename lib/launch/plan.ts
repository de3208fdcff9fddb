/**
 * A launch plan: all that the helper does to make one process, as data. TypeScript decides, the helper obeys.
 * {@link encodePlan} turns a plan into the bytes that native/plan.h reads, and a spec checks that both agree on every number.
 */
import type { CgroupPlan } from '../cgroup/cgroups.js'
import type { IdMapTexts, Operation } from './operation.js'

/** The namespaces(7) that a process can get of its own. */
export type NamespaceType = 'mount' | 'pid' | 'uts' | 'ipc' | 'network' | 'cgroup' | 'user' | 'time'

export interface Plan {
  /** Namespaces to be made new. */
  readonly create: readonly NamespaceType[]
  /** Namespaces to join before the new ones are made, by host path or {@link givenDescriptor}. */
  readonly join: readonly { readonly type: NamespaceType; readonly path: string }[]
  /** A mount namespace that a `take` may take from, by host path or {@link givenDescriptor}. */
  readonly peer?: string
  readonly listener?: PlanListener
  /** uid_map and gid_map of a new user namespace (user_namespaces(7)), as their file contents. */
  readonly idMaps?: IdMapTexts
  readonly cgroup: PlanCgroup
  readonly stdio: PlanStdio
  /** What SELinux is to call the pipes of these that the monitor makes. @default as the monitor */
  readonly streamLabel?: string
  readonly operations: readonly Operation[]
  readonly network?: PlanNetwork
  readonly monitor?: PlanMonitor
}

/**
 * In the place of a path: the descriptor of that number, from 0 on, behind the streams that are given to the launch. Of a
 * process that may not be looked at, as a host may not be by the monitors of an ordinary user, no path leads to what it has.
 */
export function givenDescriptor(index: number): string {
  return `#${String(index)}`
}

/** Where the listener of a seccomp filter goes: config-linux.md of the runtime-spec, `listenerPath`. */
export interface PlanListener {
  /** Of a socket that somebody listens on. */
  readonly path: string
  /**
   * The Container Process State as JSON, but for `status` and `pid` in its last member, `state`, and its own `pid`: these are
   * added to it.
   */
  readonly state: string
  /** Pid 1 of the container that the process is brought in to. @default it is pid 1 itself */
  readonly container?: number
}

/** All of it is made by the monitor, and removed by it. */
export type PlanCgroup = CgroupPlan

/** What the monitor does with one output stream of the process. */
export interface PlanStdio {
  /**
   * `null`: /dev/null. `log`: a pipe that the monitor reads and writes to the log. `pass`: the descriptor that came with
   * the request, in the order stdin, stdout, stderr. `open`: a pipe that those write to who are attached. `once`: the same,
   * ended with the last of them that ends its own. `terminal`: all three are the one that an operation makes.
   */
  readonly stdin: 'null' | 'pass' | 'open' | 'once' | 'terminal'
  readonly stdout: 'null' | 'log' | 'pass' | 'terminal'
  readonly stderr: 'null' | 'log' | 'pass' | 'terminal'
}

/** What the monitor does in the network namespace that has the container's networks. */
export interface PlanNetwork {
  /** Messages of rtnetlink(7), with their ACK flag set, sent in this order once the new process has a pid. */
  readonly links: readonly {
    readonly message: Uint8Array
    /** Where that pid is written into it, u32, little-endian; absent: nowhere. */
    readonly pidAt?: number
  }[]
  /** Batches of nf_tables, sent when all of the container is dead; how they fare is not looked at. */
  readonly teardown: readonly Uint8Array[]
  /** Messages of rtnetlink(7) that remove the links again, sent when others are left in the namespace of one that ends. */
  readonly unlinks?: readonly Uint8Array[]
  /** The path of a network namespace that it enters for all this, and stays in. @default the one that it is in */
  readonly space?: string
}

/** How a monitor keeps its container. Absent from the plan of an exec. */
export interface PlanMonitor {
  /** `bound`: the container ends when the host's connection closes. `detached`: it goes on. */
  readonly lifetime: 'bound' | 'detached'
  /** Host path of the monitor's listening socket, made by it, mode 0600. */
  readonly socket: string
  /** Host path where the exit record is written (to a temporary name, synced, renamed) before the exit is told. */
  readonly exitFile: string
  /** Absent: no log. */
  readonly log?: PlanLog
  /** Where it tells that the container has started and died; absent: nowhere. */
  readonly journal?: {
    /** Host path of the journal's present file (lib/event/journal.ts). */
    readonly path: string
    /** Bytes beyond which the file is renamed, and another begun. */
    readonly limit: number
    /** What all events of this container have in common: members of a JSON object, without its braces. */
    readonly members: string
  }
  /** Whether it is started again when it has ended. @default never */
  readonly restart?: PlanRestart
  /** How it is checked while it runs. @default not at all */
  readonly health?: PlanHealth
}

/** What follows the end of a container. */
export interface PlanRestart {
  /** `on-request`: only when its monitor is told to. */
  readonly policy: 'never' | 'on-failure' | 'always' | 'on-request'
  /** How often at most, with `on-failure`. @default 0: however often */
  readonly maximum?: number
}

/** What a monitor does to know whether its container is healthy. Times are milliseconds. */
export interface PlanHealth {
  readonly interval: number
  readonly timeout: number
  readonly startPeriod: number
  readonly startInterval: number
  readonly retries: number
  /** What follows when it has become unhealthy. */
  readonly onFailure: 'none' | 'kill' | 'stop' | 'restart'
  /** A signal's number, and how long the container has to end by it, when it is stopped for that. */
  readonly stopSignal: number
  readonly stopTimeout: number
  /** Not before its pid 1, CRIU, has made another process of it that is pid 1 from then on. @default false */
  readonly whenRestored?: boolean
  /** Host path of the file that its state is kept in. */
  readonly file: string
  /** The process of a check, as of an exec; both outputs are passed. */
  readonly check: Plan
}

/** How a monitor keeps what its container writes. */
export interface PlanLog {
  readonly driver: 'k8s-file' | 'json-file' | 'journald'
  /** Host path of the file, which is appended to, or of journald's socket. */
  readonly target: string
  /**
   * What every entry has: for `json-file` the JSON of its `attrs`, or nothing; for `journald` lines of its native protocol.
   */
  readonly fields: string
  /** Bytes at which a file is full. @default never */
  readonly maxSize?: number
  /** How many files there are, with the one that is written to. */
  readonly maxFiles: number
  /** The container is killed when a line can't be kept. */
  readonly stopsWhenFull: boolean
}
