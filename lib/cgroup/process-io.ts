/**
 * What processes had from disks, by their own accounts (proc_pid_io(5)), where no controller counts: since Linux 6.10
 * cgroup v1's blkio counts nothing as long as nobody limits that disk. A parent that waits for a child takes over what that
 * one had, so that only processes whose parent is none of the container's, as those of exec, take theirs along.
 */
import type { KernelFiles } from '../sys/kernel-files.js'

/** @param pids what `cgroup.procs` of the container says, in any hierarchy */
export function processIo(
  files: KernelFiles,
  pids: string | undefined,
): { readonly readBytes: number; readonly writeBytes: number } | undefined {
  if (pids === undefined) return undefined
  let [readBytes, writeBytes] = [0, 0]
  for (const pid of pids.split('\n')) {
    // One that ends just now is not another's yet: pids are given in turn, so it takes all others until it is used again.
    const account = pid === '' ? undefined : files.read(`/proc/${pid}/io`)
    if (account === undefined) continue
    readBytes += Number(/^read_bytes: (\d+)$/m.exec(account)?.[1] ?? 0)
    writeBytes += Number(/^write_bytes: (\d+)$/m.exec(account)?.[1] ?? 0)
  }
  return { readBytes, writeBytes }
}
