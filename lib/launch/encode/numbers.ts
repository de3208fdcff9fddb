/** The numbers of native/plan.h. A spec reads that header and checks that every one here is the same there. */
import type { Operation, Propagation } from '../operation.js'
import type { NamespaceType, PlanLog } from '../plan.js'

export const planMagic = 0x50444c50

export const planVersion = 11

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
  'place-init': 55,
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
export const noPid = 0xffffffff

/** A bind that finds its source by itself. */
export const noSlot = 0xffffffff

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
