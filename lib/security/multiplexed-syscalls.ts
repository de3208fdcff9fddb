/** The calls that i386 programs make through socketcall(2) and ipc(2) (linux/net.h, linux/ipc.h). Data. */

const SOCKETCALL = 102
const IPC = 117

export interface MultiplexedSyscall {
  /** Of socketcall or ipc. */
  readonly number: number
  /** Its first argument under `mask`. */
  readonly call: bigint
  readonly mask: bigint
}

const socketCalls = [
  'socket',
  'bind',
  'connect',
  'listen',
  'accept',
  'getsockname',
  'getpeername',
  'socketpair',
  'send',
  'recv',
  'sendto',
  'recvfrom',
  'shutdown',
  'setsockopt',
  'getsockopt',
  'sendmsg',
  'recvmsg',
  'accept4',
  'recvmmsg',
  'sendmmsg',
]

const ipcCalls: Readonly<Record<string, number>> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
}

export const multiplexers: ReadonlyMap<string, MultiplexedSyscall> = new Map([
  ...socketCalls.map((name, index): [string, MultiplexedSyscall] => [
    name,
    { number: SOCKETCALL, call: BigInt(index + 1), mask: 0xffff_ffffn },
  ]),
  // The upper half of ipc's first argument is the version of the call.
  ...Object.entries(ipcCalls).map(([name, call]): [string, MultiplexedSyscall] => [
    name,
    { number: IPC, call: BigInt(call), mask: 0xffffn },
  ]),
])
