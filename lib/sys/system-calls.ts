/**
 * Whether the kernel answers certain system calls. Each is called with arguments that it must refuse (no memory, size
 * 0, descriptor -1), so an errno other than ENOSYS proves that it is there and nothing happens.
 */
import { rawSystemCall } from './libc.js'

/** Numbers that x86-64 and arm64 share: all calls since Linux 5.1 have one number everywhere. */
const CALLS = {
  pidfd_send_signal: 424,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfd_open: 434,
  clone3: 435,
  close_range: 436,
  openat2: 437,
  pidfd_getfd: 438,
  mount_setattr: 442,
} as const

const LANDLOCK_CREATE_RULESET = 444
const LANDLOCK_CREATE_RULESET_VERSION = 1

/** Arguments that are refused by each call. */
function refuse(name: keyof typeof CALLS): readonly [number, number, number] {
  switch (name) {
    case 'close_range':
      return [1, 0, 0] // an end before the start
    case 'clone3':
    case 'fsopen':
      return [0, 0, 0] // no memory to read from
    default:
      return [-1, 0, 0] // no such descriptor or process
  }
}

/** The calls that Podling needs and that this kernel does not answer. */
export function missingSystemCalls(): string[] {
  return Object.entries(CALLS).flatMap(([name, number]) => {
    const result = rawSystemCall(number, ...refuse(name as keyof typeof CALLS))
    return result.errno === 'ENOSYS' ? [name] : []
  })
}

/** The landlock(7) ABI, 0 where there is none or it is switched off. */
export function landlockAbi(): number {
  const { value } = rawSystemCall(LANDLOCK_CREATE_RULESET, 0, 0, LANDLOCK_CREATE_RULESET_VERSION)
  return Math.max(0, value)
}
