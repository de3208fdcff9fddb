import { readFileSync } from 'node:fs'

/**
 * When a process began, in clock ticks since the boot (field 22 of proc_pid_stat(5)), by which it is told from a later one
 * of its number. `'0'` for one that has ended.
 */
export function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1')
    // The name before it stands in parentheses and may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '0'
  } catch {
    return '0'
  }
}
