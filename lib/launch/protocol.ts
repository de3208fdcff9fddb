/**
 * What the host, the launcher and the monitors say to each other, as native/protocol.h numbers it (a spec compares).
 *
 * ```
 *  host                         launcher            monitor                 new process
 *   │ request LAUNCH ────────────▶│
 *   │   + stream, stdio (fds)     │ fork ──────────────▶│
 *   │ plan, over the stream ─────────────────────────▶│ cgroups, clone3 ──────▶│
 *   │                                                 │ limits, log, socket    │ operations
 *   │                                                 │ 'g' ──────────────────▶│
 *   │                                                 │◀────────── EXECUTING   │ execve
 *   │◀───────────────── frame STARTED (or FAILED) ────│◀──── end of the link   │
 *   │ request EXEC + stream, stdio ──────────────────▶│ fork, setns, clone ───▶│ ...
 *   │ plan, over that stream ────────────────────────▶│
 *   │◀───────── frame STARTED, EXITED on that stream ─│
 *   │ request ATTACH + its pipes, KILL, FREEZE ... ──▶│
 *   │◀───────────────────────────────── frame ANSWER ─│
 *   │◀───────────────────────────── frame LOST_LINES ─│ a log that can't be written
 *   │◀───────────────────────────────── frame HEALTH ─│ fork, setns, clone ───▶│ a health check
 *   │◀───────────────────────────────── frame EXITED ─│◀──────────────── death │
 *   │◀────────────────── frame ENDED, later STARTED ──│ one that is started again
 *   │ request SPARE + stream ────▶│ fork ──────────────▶│ cgroups are entered
 *   │◀─────────────────────────────────── frame WARM ─│
 *   │ request LAUNCH + stdio (fds), plan, over it ───▶│ as above, without the launcher
 * ```
 *
 * Requests are 16 bytes and go out by one sendmsg(2) each, as they may carry descriptors; all the rest is a byte stream
 * that Node reads and writes in its usual way. This file is pure.
 */

import { decodeHealth, type ContainerHealth } from './health.js'

export const requestKinds = {
  launch: 1,
  unpack: 2,
  exec: 3,
  kill: 4,
  proceed: 5,
  freeze: 6,
  spare: 7,
  copy: 8,
  attach: 9,
  resize: 10,
  restored: 11,
  health: 12,
  make: 13,
  mapped: 14,
  join: 15,
  streams: 16,
} as const
export type RequestKind = keyof typeof requestKinds

/** `first` of a copy: what the tree is given by (native/copy.h, `enum copy_from`). */
export const copyFrom = { directory: 0, namespace: 1 } as const
/** `second` of a copy (`enum copy_way`). */
export const copyWays = { in: 0, out: 1, ask: 2 } as const

export const frameKinds = {
  started: 1,
  ready: 2,
  failed: 3,
  exited: 4,
  answer: 5,
  warm: 6,
  'lost-lines': 7,
  ended: 8,
  frozen: 9,
  health: 10,
  unmapped: 11,
  inside: 12,
} as const

/** `second` of a restored (`enum restored`): what the descriptor is that comes with it. */
export const restoredStreams = { alone: 0, terminal: 1, input: 2, 'input-once': 3 } as const

/** `second` of a kill (`enum kill_how`), as bits. */
export const killHow = { all: 1, 'for-good': 2 } as const

/** `enum stage`: what was being done when a launch failed. */
export const stages = {
  plan: 1,
  fork: 2,
  'cgroup-directory': 3,
  'cgroup-write': 4,
  'cgroup-attach': 5,
  'cgroup-enter': 6,
  'device-program': 7,
  join: 8,
  clone: 9,
  'id-map': 10,
  stdio: 11,
  socket: 12,
  log: 13,
  operation: 14,
  died: 15,
  ended: 16,
  enter: 17,
  link: 18,
  namespaces: 19,
  console: 20,
  listener: 21,
} as const
export type Stage = keyof typeof stages

/** `enum reason`: failures whose meaning an errno alone doesn't tell. */
export const reasons = {
  syscall: 0,
  'user-not-found': 1,
  'group-not-found': 2,
  'command-not-found': 3,
  'command-not-executable': 4,
  'interpreter-not-found': 5,
  'workdir-invalid': 6,
  'workdir-outside': 7,
  'not-procfs': 8,
  'not-dev-null': 9,
  'not-a-file': 10,
  'too-large': 11,
  'not-devpts': 12,
  'hook-exited': 13,
  'hook-killed': 14,
  'hook-late': 15,
  'keeps-label': 16,
} as const
export type Reason = keyof typeof reasons

/** Who a process is, and since when it runs. */
export interface Started {
  /** In the host's pid namespace. */
  readonly pid: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  /** The home that its passwd entry names. */
  readonly home?: string
  /** How often the container was started again. */
  readonly restarts: number
  /** Frozen when this was told. */
  readonly frozen: boolean
  /** The pid of its monitor, which lives through restarts. */
  readonly monitorPid: number
}

export interface Failure {
  readonly stage: Stage
  /** Which of the plan's list that the stage is about. */
  readonly index: number
  readonly reason: Reason
  /** An errno; of stage `died` and of a hook that was killed a signal, of one that failed its exit status. */
  readonly error: number
  readonly syscall: string
  /** The end of what a hook wrote to its standard error. */
  readonly said: string
}

/** The inodes of the pipes at whose other end a monitor stands; absent: it is none, or that end is closed. */
export interface StreamInodes {
  readonly input?: number
  readonly output?: number
  readonly error?: number
}

/** How a container ended. */
export interface ExitRecord {
  /** 128 + signal when a signal ended it. */
  readonly exitCode: number
  /** The signal that ended it. */
  readonly signal?: number
  /** Has the kernel killed a process of it for want of memory, at any time of its life? */
  readonly oomKilled: boolean
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly finishedAt: number
  /** Lines that could not be written to the log: its disk was full. @default 0 */
  readonly lostLogLines: number
  /** How often it was started again before. @default 0 */
  readonly restartCount: number
  /** Was it told to stop? @default false */
  readonly stoppedByUser: boolean
}

/** The end of a run of a container. */
export interface Ending {
  readonly record: ExitRecord
  /** When it is started again, in milliseconds since the epoch; absent: never. */
  readonly dueAt?: number
  /** It was to be started again, and that failed. */
  readonly failure?: Failure
}

export type Frame =
  | { readonly kind: 'started' | 'ready'; readonly started: Started }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'exited'; readonly ending: Ending }
  /** It is to be started again; who its last pid 1 was. */
  | { readonly kind: 'ended'; readonly started: Started; readonly ending: Ending }
  | { readonly kind: 'frozen'; readonly frozen: boolean }
  | { readonly kind: 'answer'; readonly id: number; readonly error: number; readonly streams?: StreamInodes }
  | { readonly kind: 'warm' }
  /** A launcher that is to be rootless has a user namespace without maps, or is inside of its namespaces. */
  | { readonly kind: 'unmapped' | 'inside' }
  | { readonly kind: 'lost-lines'; readonly lines: number }
  | { readonly kind: 'health'; readonly health: ContainerHealth }

/** A request as bytes. */
export function encodeRequest(kind: RequestKind, id = 0, first = 0, second = 0): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32LE(requestKinds[kind], 0)
  bytes.writeUInt32LE(id, 4)
  bytes.writeUInt32LE(first, 8)
  bytes.writeUInt32LE(second, 12)
  return bytes
}

function nameOf<T extends string>(names: Readonly<Record<T, number>>, number: number): T {
  for (const name in names) if (names[name] === number) return name
  throw new RangeError(`unknown number ${String(number)} from the helper`)
}

/** Sizes of the C structures. */
const headSize = 24
const recordSize = 48
const failureSize = 256
const syscallSize = 24
const endingSize = recordSize + 8 + failureSize

/** @param identity what follows the head, where not behind it at once */
function decodeStarted(bytes: Buffer, identity = bytes.subarray(headSize)): Started {
  const started = {
    pid: bytes.readUInt32LE(0),
    restarts: bytes.readUInt32LE(4),
    monitorPid: bytes.readUInt32LE(8),
    frozen: bytes.readUInt32LE(12) !== 0,
    startedAt: Number(bytes.readBigUInt64LE(16)),
    uid: 0,
    gid: 0,
    groups: [] as number[],
  }
  if (identity.length < 16) return started
  started.uid = identity.readUInt32LE(0)
  started.gid = identity.readUInt32LE(4)
  const count = identity.readUInt32LE(8)
  for (let i = 0; i < count; i++) started.groups.push(identity.readUInt32LE(12 + 4 * i))
  const at = 12 + 4 * count
  const size = identity.readUInt32LE(at)
  return size === 0xffffffff ? started : { ...started, home: identity.toString('utf8', at + 4, at + 4 + size) }
}

function decodeFailure(bytes: Buffer): Failure {
  const text = (from: number, to: number): Buffer => {
    const end = bytes.indexOf(0, from)
    return bytes.subarray(from, end < 0 ? to : Math.min(end, to))
  }
  return {
    stage: nameOf(stages, bytes.readUInt32LE(0)),
    index: bytes.readUInt32LE(4),
    reason: nameOf(reasons, bytes.readUInt32LE(8)),
    error: bytes.readUInt32LE(12),
    syscall: text(16, 16 + syscallSize).toString('latin1'),
    said: text(16 + syscallSize, failureSize).toString(),
  }
}

function decodeExit(bytes: Buffer): ExitRecord {
  const signal = bytes.readUInt32LE(4)
  return {
    exitCode: bytes.readUInt32LE(0),
    ...(signal === 0 ? {} : { signal }),
    oomKilled: bytes.readUInt32LE(8) !== 0,
    restartCount: bytes.readUInt32LE(12),
    startedAt: Number(bytes.readBigUInt64LE(16)),
    finishedAt: Number(bytes.readBigUInt64LE(24)),
    lostLogLines: Number(bytes.readBigUInt64LE(32)),
    stoppedByUser: bytes.readUInt32LE(40) !== 0,
  }
}

function decodeEnding(bytes: Buffer): Ending {
  const record = decodeExit(bytes)
  // Of an exec there is no more than that.
  if (bytes.length < endingSize) return { record }
  const dueAt = Number(bytes.readBigUInt64LE(recordSize))
  const failed = bytes.readUInt32LE(recordSize + 8) !== 0
  return {
    record,
    ...(dueAt === 0 ? {} : { dueAt }),
    ...(failed ? { failure: decodeFailure(bytes.subarray(recordSize + 8, endingSize)) } : {}),
  }
}

function decodeStreams(bytes: Buffer): StreamInodes {
  const [input = 0, output = 0, error = 0] = [0, 8, 16].map((at) => Number(bytes.readBigUInt64LE(at)))
  return { ...(input ? { input } : {}), ...(output ? { output } : {}), ...(error ? { error } : {}) }
}

function decodeFrame(kind: number, bytes: Buffer): Frame {
  const name = nameOf(frameKinds, kind)
  switch (name) {
    case 'started':
    case 'ready':
      return { kind: name, started: decodeStarted(bytes) }
    case 'failed':
      return { kind: name, failure: decodeFailure(bytes) }
    case 'exited':
      return { kind: name, ending: decodeEnding(bytes) }
    case 'ended':
      return {
        kind: name,
        started: decodeStarted(bytes, bytes.subarray(headSize + endingSize)),
        ending: decodeEnding(bytes.subarray(headSize)),
      }
    case 'frozen':
      return { kind: name, frozen: bytes.readUInt32LE(0) !== 0 }
    case 'answer':
      return {
        kind: name,
        id: bytes.readUInt32LE(0),
        error: bytes.readUInt32LE(4),
        ...(bytes.length > 8 ? { streams: decodeStreams(bytes.subarray(8)) } : {}),
      }
    case 'warm':
    case 'unmapped':
    case 'inside':
      return { kind: name }
    case 'health':
      return { kind: name, health: decodeHealth(bytes) }
    case 'lost-lines':
      return { kind: name, lines: Number(bytes.readBigUInt64LE(0)) }
  }
}

/** Cuts a byte stream into frames, whatever pieces it comes in. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)

  /** @returns the frames that are whole now. */
  push(chunk: Buffer): Frame[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Frame[] = []
    while (bytes.length >= 8) {
      const end = 8 + bytes.readUInt32LE(0)
      if (bytes.length < end) break
      frames.push(decodeFrame(bytes.readUInt32LE(4), bytes.subarray(8, end)))
      bytes = bytes.subarray(end)
    }
    this.#rest = bytes
    return frames
  }
}
