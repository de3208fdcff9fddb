import { constants, getPriority, setPriority } from 'node:os'

/** As much as a third of the share of a thread that hasn't given way; see sched(7). */
const step = 5

/**
 * From here on the calling thread leaves the CPU to the others of its process when they have something to do. For a thread that
 * is long at work, beside the one of the event loop: that one would else wait for its turn behind it, several milliseconds where
 * there are more threads than CPUs. A nice value is each thread's own on Linux (setpriority(2)), whatever POSIX says.
 */
export function giveWay(): void {
  try {
    setPriority(Math.min(getPriority() + step, constants.priority.PRIORITY_LOW))
  } catch {
    // A filter of system calls may forbid it; the work is the same without.
  }
}
