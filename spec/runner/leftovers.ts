import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

const id = randomUUID()

/** A word in the environment of every process that a test run starts, by which those that it leaves are found. */
export const marker = { PODLING_TEST_RUN: id } as const

/** End and name the processes that still carry the marker: tests clean up after themselves. */
export function endLeftovers(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      if (!read(`/proc/${pid}/environ`).split('\0').includes(`PODLING_TEST_RUN=${id}`)) return []
      const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch {
        return []
      }
      return [`${pid} ${command}`]
    })
}

/** Empty for a process that went away meanwhile, or that isn't ours. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
