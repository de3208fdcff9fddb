/** Whether the 200th container costs what the first did, and what each of them keeps in memory. */
import { readFile } from 'node:fs/promises'
import type { Container } from 'podling'
import { IMAGE, LIMITS, repeat, timeRun, withRuntime } from './podling.js'
import type { Trial } from './trial.js'

const MANY = 200
const SLEEP = ['/bin/sleep', '1000000'] as const

/** The process that watches a container is the parent of its first process. */
async function monitorOf(container: Container): Promise<number> {
  const status = await readFile(`/proc/${String(container.pid)}/status`, 'utf8')
  return Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1])
}

/** Kilobytes of memory that only this process has (proc_pid_smaps(5)). */
async function privateKilobytes(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${String(pid)}/smaps_rollup`, 'utf8')
  const parts = [...rollup.matchAll(/^Private_(?:Clean|Dirty|Hugetlb):\s*(\d+) kB$/gm)]
  return parts.reduce((sum, [, kilobytes]) => sum + Number(kilobytes), 0)
}

export const many: Trial = {
  name: 'many',
  about: 'starts with none and with 200 containers running, and the memory of one beside its own process',
  own: true,
  async run({ workspace, runs, say }) {
    return withRuntime(workspace, async (runtime) => {
      const few = Math.min(runs, 50)
      await timeRun(runtime)
      const first = await repeat(few, () => timeRun(runtime))
      say(`starting ${String(MANY)} containers`)
      const containers = await repeat(MANY, () =>
        runtime.run({ image: IMAGE, command: SLEEP, network: 'none', ...LIMITS }),
      )
      const last = await repeat(few, () => timeRun(runtime))
      const monitors = await Promise.all(containers.map(monitorOf))
      const memory = await Promise.all([...new Set(monitors)].map(privateKilobytes))
      const each = memory.map((kilobytes) => (kilobytes * memory.length) / MANY)
      for (const container of containers) await container.remove({ force: true })
      return [
        { trial: 'many', subject: 'podling, none running', unit: 'ms', samples: first },
        {
          trial: 'many',
          subject: `podling, ${String(MANY)} running`,
          unit: 'ms',
          samples: last,
          aim: 'within 20% of none',
        },
        { trial: 'many', subject: "podling's memory a container", unit: 'KB', samples: each, aim: 'at most 600 KB' },
      ]
    })
  },
}
