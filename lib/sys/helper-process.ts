/** The helper as a child of this process. */
import { c, errnoName, systemError } from './libc.js'

const O_RDWR = 0o2
const WNOHANG = 1

/**
 * Start a program that gets `control` as descriptor 3, /dev/null as 0 to 2, and an empty environment. posix_spawn(3)
 * shares the memory until the exec, so the time that it takes doesn't grow with the size of this process, as that of
 * node:child_process does.
 * @returns its pid, to be reaped with {@link reap}.
 */
export function spawnHelper(path: string, args: readonly string[], control: number): number {
  const actions = Buffer.alloc(512) /* posix_spawn_file_actions_t is opaque, and 80 bytes in glibc and musl */
  const check0 = (result: unknown): void => {
    if (result !== 0) throw systemError('posix_spawn', errnoName(result as number), `start ${path}`, path)
  }
  check0(c().posix_spawn_file_actions_init(actions))
  try {
    for (const fd of [0, 1, 2]) check0(c().posix_spawn_file_actions_addopen(actions, fd, '/dev/null', O_RDWR, 0))
    check0(c().posix_spawn_file_actions_adddup2(actions, control, 3))
    const pid = [0]
    check0(c().posix_spawn(pid, path, actions, null, [path, ...args, null], [null]))
    return pid[0]!
  } finally {
    c().posix_spawn_file_actions_destroy(actions)
  }
}

/**
 * Take the exit status of a child that was started with {@link spawnHelper}, without waiting.
 * @returns false while it lives.
 */
export function reap(pid: number): boolean {
  return (c().waitpid(pid, [0], WNOHANG) as number) !== 0
}
