/**
 * A {@link Plan} as the bytes that native/plan.h describes; the header there draws the layout. Pure. A spec reads that
 * header and checks that every number here is the same there.
 */
import { PodlingError } from '../errors.js'
import type {
  MountAttributes,
  NamespaceType,
  Operation,
  Plan,
  PlanCgroup,
  PlanHealth,
  PlanLog,
  Propagation,
} from './plan.js'

export const planMagic = 0x50444c50
export const planVersion = 10

/** Numbers of the operations: `enum opcode`. */
export const opcodes: Readonly<Record<Operation['op'], number>> = {
  propagation: 1,
  'root-overlay': 2,
  'root-bind': 3,
  mount: 4,
  bind: 5,
  mkdir: 6,
  mknod: 7,
  symlink: 8,
  'write-file': 9,
  'pivot-root': 10,
  mask: 11,
  'read-only': 12,
  'mount-read-only': 13,
  hostname: 14,
  domainname: 15,
  sysctl: 16,
  'loopback-up': 17,
  rlimit: 18,
  'oom-score-adj': 19,
  umask: 20,
  keyring: 21,
  'no-new-privs': 22,
  user: 23,
  capabilities: 24,
  seccomp: 25,
  chdir: 26,
  init: 27,
  barrier: 28,
  exec: 29,
  netlink: 30,
  exit: 31,
  fill: 32,
  take: 33,
  adopt: 34,
  'keep-root': 35,
  terminal: 36,
  once: 37,
  'open-network': 38,
  hold: 39,
  hook: 40,
  probe: 41,
  landlock: 42,
  'enter-pids': 43,
  part: 44,
  ids: 45,
  attribute: 46,
  'map-ids': 47,
  'enter-user': 48,
  personality: 49,
  scheduler: 50,
  'io-priority': 51,
  'memory-policy': 52,
  affinity: 53,
  account: 54,
}

/** `enum propagation`. */
export const propagations: Readonly<Record<Propagation | 'unchanged', number>> = {
  unchanged: 0,
  private: 1,
  slave: 2,
  shared: 3,
  unbindable: 4,
}

/** `enum stdio_mode`. */
export const stdioModes = { null: 0, log: 1, pass: 2, open: 3, once: 4, terminal: 5 } as const

/** `enum lifetime`. */
export const lifetimes = { bound: 0, detached: 1 } as const

/** `enum log_kind`; 0 is none. */
export const logKinds: Readonly<Record<PlanLog['driver'], number>> = { 'k8s-file': 1, 'json-file': 2, journald: 3 }
/** `enum restart_policy`. */
export const restartPolicies = { never: 0, 'on-failure': 1, always: 2, 'on-request': 3 } as const

/** `enum health_action`. */
export const healthActions = { none: 0, kill: 1, stop: 2, restart: 3 } as const

/** A message that no pid is put into: `NO_PID`. */
const noPid = 0xffffffff

/** A bind that finds its source by itself. */
const noSlot = 0xffffffff

/** CLONE_NEW* of linux/sched.h. */
export const namespaceFlags: Readonly<Record<NamespaceType, number>> = {
  time: 0x00000080,
  mount: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
}

/** MOUNT_ATTR_* of linux/mount.h. */
const attributeFlags = {
  readOnly: 0x1,
  noSuid: 0x2,
  noDev: 0x4,
  noExec: 0x8,
  noDirAccessTime: 0x80,
  noSymFollow: 0x200000,
} as const
const accessTimes = { relatime: 0, noatime: 0x10, strictatime: 0x20 } as const
const accessTimeMask = 0x70

/** Bytes that grow. Everything little-endian and unaligned. */
class Writer {
  #bytes = Buffer.allocUnsafe(4096)
  #length = 0

  #room(size: number): number {
    const at = this.#length
    this.#length += size
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length))
      this.#bytes.copy(larger, 0, 0, at)
      this.#bytes = larger
    }
    return at
  }

  u8(value: number | boolean): void {
    // The room first: making it may replace the bytes.
    const at = this.#room(1)
    this.#bytes.writeUInt8(Number(value), at)
  }

  u32(value: number): void {
    const at = this.#room(4)
    this.#bytes.writeUInt32LE(value >>> 0, at)
  }

  u64(value: bigint): void {
    const at = this.#room(8)
    this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at)
  }

  blob(value: Uint8Array): void {
    this.u32(value.length)
    const at = this.#room(value.length)
    this.#bytes.set(value, at)
  }

  /** @throws PodlingError `INVALID_OPTION` for a NUL, at which C would end the text. */
  text(value: string): void {
    if (value.includes('\0')) {
      throw new PodlingError(
        'INVALID_OPTION',
        `A text of a launch plan must hold no NUL byte, got ${JSON.stringify(value)}`,
      )
    }
    const size = Buffer.byteLength(value)
    this.u32(size)
    const at = this.#room(size + 1)
    this.#bytes.write(value, at)
    this.#bytes.writeUInt8(0, at + size)
  }

  maybe(value: string | undefined): void {
    this.u8(value !== undefined)
    if (value !== undefined) this.text(value)
  }

  list<T>(items: readonly T[], write: (item: T) => void): void {
    this.u32(items.length)
    for (const item of items) write(item)
  }

  texts(items: readonly string[]): void {
    this.list(items, (item) => {
      this.text(item)
    })
  }

  blobs(items: readonly Uint8Array[]): void {
    this.list(items, (item) => {
      this.blob(item)
    })
  }

  /** Write with the size of what is written in front. */
  sized(write: () => void): void {
    const at = this.#room(4)
    write()
    this.#bytes.writeUInt32LE(this.#length - at - 4, at)
  }

  take(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }
}

/** The flags to set and those to clear, as mount_setattr(2) takes them. */
function attributes(value: MountAttributes): { set: number; clear: number } {
  let set = 0
  for (const [name, flag] of Object.entries(attributeFlags)) {
    if (value[name as keyof typeof attributeFlags]) set |= flag
  }
  if (value.accessTime === undefined) return { set, clear: 0 }
  return { set: set | accessTimes[value.accessTime], clear: accessTimeMask }
}

function writeAttributes(out: Writer, value: MountAttributes): void {
  const { set, clear } = attributes(value)
  out.u32(set)
  out.u32(clear)
}

function writeFields(out: Writer, operation: Operation): void {
  switch (operation.op) {
    case 'propagation':
      out.u8(propagations[operation.mode])
      return
    case 'root-overlay':
      out.texts(operation.lower)
      out.maybe(operation.upper)
      out.maybe(operation.work)
      out.texts(operation.options)
      out.text(operation.at)
      return
    case 'root-bind':
      out.text(operation.source)
      return
    case 'mount':
      out.text(operation.fstype)
      out.text(operation.source)
      out.text(operation.target)
      writeAttributes(out, operation.attributes)
      out.texts(operation.options)
      out.u8(operation.copyUp ?? false)
      out.maybe(operation.label)
      return
    case 'keep-root':
      out.u32(operation.slot)
      out.maybe(operation.subpath)
      return
    case 'adopt':
      out.text(operation.keeper)
      out.text(operation.target)
      return
    case 'take':
      out.u32(operation.slot)
      out.text(operation.source)
      out.maybe(operation.subpath)
      out.u8(operation.recursive)
      out.u8(operation.ofPeer ?? false)
      out.maybe(operation.owner)
      out.maybe(operation.idMaps?.uid)
      out.maybe(operation.idMaps?.gid)
      return
    case 'map-ids':
      out.text(operation.path)
      out.text(operation.idMaps.uid)
      out.text(operation.idMaps.gid)
      return
    case 'bind':
      out.u32(operation.taken ?? noSlot)
      out.text(operation.source)
      out.maybe(operation.subpath)
      out.text(operation.target)
      out.u8(operation.recursive)
      writeAttributes(out, operation.attributes)
      writeAttributes(out, operation.top ?? {})
      out.u8(propagations[operation.propagation ?? 'unchanged'])
      out.u8(operation.optional ?? false)
      out.maybe(operation.owner)
      out.maybe(operation.idMaps?.uid)
      out.maybe(operation.idMaps?.gid)
      out.maybe(operation.relabel?.label)
      out.texts(operation.relabel?.kept ?? [])
      return
    case 'fill':
      out.text(operation.data)
      out.text(operation.staging)
      out.text(operation.lock)
      out.text(operation.target)
      out.u8(operation.durable)
      return
    case 'mkdir':
      out.text(operation.path)
      out.u32(operation.mode)
      out.u32(operation.uid)
      out.u32(operation.gid)
      return
    case 'mknod':
      out.text(operation.path)
      out.u8(operation.type.charCodeAt(0))
      out.u32(operation.mode)
      out.u32(operation.major)
      out.u32(operation.minor)
      out.u32(operation.uid)
      out.u32(operation.gid)
      return
    case 'symlink':
      out.text(operation.target)
      out.text(operation.path)
      return
    case 'write-file':
      out.text(operation.path)
      out.u32(operation.mode)
      out.blob(typeof operation.content === 'string' ? Buffer.from(operation.content) : operation.content)
      return
    case 'account':
      out.text(operation.user)
      out.u32(operation.uid)
      out.text(operation.passwd)
      out.text(operation.group)
      out.u32(operation.gid)
      out.text(operation.members)
      return
    case 'mask':
      out.text(operation.path)
      out.maybe(operation.label)
      return
    case 'read-only':
    case 'mount-read-only':
      out.text(operation.path)
      return
    case 'hostname':
    case 'domainname':
      out.text(operation.name)
      return
    case 'attribute':
      out.text(operation.name)
      out.text(operation.value)
      return
    case 'sysctl':
      out.text(operation.key)
      out.text(operation.value)
      return
    case 'rlimit':
      out.u32(operation.resource)
      out.u64(operation.soft)
      out.u64(operation.hard)
      return
    case 'oom-score-adj':
      out.u32(operation.value)
      return
    case 'personality':
      out.u32(operation.persona)
      return
    case 'scheduler':
      out.u32(operation.policy)
      out.u64(operation.flags)
      out.u32(operation.nice)
      out.u32(operation.priority)
      out.u64(operation.runtime)
      out.u64(operation.deadline)
      out.u64(operation.period)
      return
    case 'io-priority':
      out.u32(operation.value)
      return
    case 'memory-policy':
      out.u32(operation.mode)
      out.blob(operation.nodes)
      return
    case 'affinity':
      out.blob(operation.initial)
      out.blob(operation.final)
      return
    case 'umask':
      out.u32(operation.mask)
      return
    case 'user':
      out.text(operation.user)
      out.texts(operation.groups)
      out.u8(operation.setHome)
      return
    case 'ids':
      out.u32(operation.uid)
      out.u32(operation.gid)
      out.texts(operation.groups.map(String))
      out.u8(operation.setHome)
      return
    case 'capabilities':
      out.u64(operation.effective)
      out.u64(operation.permitted)
      out.u64(operation.inheritable)
      out.u64(operation.bounding)
      out.u64(operation.ambient)
      return
    case 'seccomp':
      out.blob(operation.filter)
      out.u32(operation.flags)
      return
    case 'landlock':
      out.u64(operation.files)
      out.u64(operation.ports)
      out.u64(operation.scopes)
      out.list(operation.pathRules, ({ path, access }) => {
        out.u64(access)
        out.text(path)
      })
      out.list(operation.portRules, ({ port, access }) => {
        out.u64(access)
        out.u32(port)
      })
      return
    case 'chdir':
      out.text(operation.path)
      out.u8(operation.create)
      return
    case 'exec':
      out.texts(operation.argv)
      out.texts(operation.env)
      return
    case 'part':
      out.text(operation.program)
      out.texts(operation.env)
      out.u8(operation.awaitsStart)
      return
    case 'netlink':
      out.blobs(operation.messages)
      return
    case 'terminal':
      out.u32(operation.columns)
      out.u32(operation.rows)
      out.u8(operation.console)
      return
    case 'hook':
      out.text(operation.path)
      out.texts(operation.argv)
      out.texts(operation.env)
      out.text(operation.state.slice(0, -1))
      out.u32(operation.timeout ?? 0)
      out.maybe(operation.directory)
      out.u8(operation.asProgram)
      return
    case 'once':
      out.u32(operation.operations)
      return
    case 'open-network':
      out.u32(operation.fd)
      return
    case 'probe':
      out.u32(operation.port)
      out.maybe(operation.path)
      return
    case 'pivot-root':
    case 'loopback-up':
    case 'keyring':
    case 'no-new-privs':
    case 'enter-pids':
    case 'init':
    case 'barrier':
    case 'exit':
    case 'hold':
    case 'enter-user':
      return
  }
}

function writeCgroup(out: Writer, cgroup: PlanCgroup): void {
  out.texts(cgroup.shared ?? [])
  out.texts(cgroup.directories)
  out.list(cgroup.writes, (write) => {
    out.text(write.path)
    out.text(write.value)
    out.u8(write.optional ?? false)
  })
  out.maybe(cgroup.into)
  out.texts(cgroup.attach)
  out.maybe(cgroup.unified)
  out.maybe(cgroup.freezer)
  out.maybe(cgroup.oomEvents)
  out.blob(cgroup.deviceProgram ?? new Uint8Array())
}

function writeLog(out: Writer, log: PlanLog | undefined): void {
  out.u8(log === undefined ? 0 : logKinds[log.driver])
  if (log === undefined) return
  out.u8(log.stopsWhenFull)
  out.text(log.target)
  out.text(log.fields)
  out.u64(BigInt(log.maxSize ?? 0))
  out.u32(log.maxFiles)
}

function writeHealth(out: Writer, health: PlanHealth | undefined): void {
  out.u8(health !== undefined)
  if (health === undefined) return
  const { interval, timeout, startPeriod, startInterval } = health
  for (const time of [interval, timeout, startPeriod, startInterval]) out.u64(BigInt(time))
  out.u32(health.retries)
  out.u8(healthActions[health.onFailure])
  out.u32(health.stopSignal)
  out.u64(BigInt(Math.ceil(health.stopTimeout)))
  out.u8(health.whenRestored ?? false)
  out.text(health.file)
  // Without its size, which a blob has already.
  out.blob(encodePlan(health.check).subarray(4))
}

/**
 * Encode a plan, with its size (u32) in front, as it goes over the stream to the new process.
 * @throws PodlingError `INVALID_OPTION` when a text of it holds a NUL byte.
 */
export function encodePlan(plan: Plan): Buffer {
  const out = new Writer()
  out.sized(() => {
    out.u32(planMagic)
    out.u32(planVersion)
    out.u32(plan.create.reduce((flags, type) => flags | namespaceFlags[type], 0))
    out.list(plan.join, (join) => {
      out.u32(namespaceFlags[join.type])
      out.text(join.path)
    })
    out.maybe(plan.peer)
    out.maybe(plan.listener?.path)
    if (plan.listener !== undefined) {
      out.text(plan.listener.state)
      out.u32(plan.listener.container ?? 0)
    }
    out.u8(plan.idMaps !== undefined)
    if (plan.idMaps !== undefined) {
      out.text(plan.idMaps.uid)
      out.text(plan.idMaps.gid)
    }
    writeCgroup(out, plan.cgroup)
    out.u8(stdioModes[plan.stdio.stdin])
    out.u8(stdioModes[plan.stdio.stdout])
    out.u8(stdioModes[plan.stdio.stderr])
    out.maybe(plan.streamLabel)
    out.u8(plan.monitor !== undefined)
    if (plan.monitor !== undefined) {
      out.u8(lifetimes[plan.monitor.lifetime])
      out.text(plan.monitor.socket)
      out.text(plan.monitor.exitFile)
      writeLog(out, plan.monitor.log)
      const { journal } = plan.monitor
      out.u8(journal !== undefined)
      if (journal !== undefined) {
        out.text(journal.path)
        out.u32(journal.limit)
        out.text(journal.members)
      }
      const { policy = 'never', maximum = 0 } = plan.monitor.restart ?? {}
      out.u8(restartPolicies[policy])
      out.u32(maximum)
      writeHealth(out, plan.monitor.health)
    }
    out.maybe(plan.network?.space)
    out.list(plan.network?.links ?? [], ({ message, pidAt = noPid }) => {
      out.blob(message)
      out.u32(pidAt)
    })
    out.blobs(plan.network?.teardown ?? [])
    out.blobs(plan.network?.unlinks ?? [])
    out.list(plan.operations, (operation) => {
      out.u32(opcodes[operation.op])
      out.sized(() => {
        writeFields(out, operation)
      })
    })
  })
  return out.take()
}
