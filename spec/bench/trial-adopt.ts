/** What a root costs to open, on which many detached containers run that other processes started. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Runtime } from 'podling'
import { IMAGE, repeat } from './podling.js'
import type { Trial } from './trial.js'

const MANY = 500
const SLEEP = ['/bin/sleep', '1000000'] as const

export const adopt: Trial = {
  name: 'adopt',
  about: `opening a root on which ${String(MANY)} detached containers run, and then taking all of them up`,
  own: true,
  async run({ workspace, runs, say }) {
    const home = await mkdtemp(join(workspace.directory, 'podling-'))
    const runRoot = await mkdtemp('/run/podling-bench-')
    const options = { root: join(home, 'root'), runRoot, storageDriver: 'overlay' } as const
    const first = await Runtime.open(options)
    try {
      await first.images.import(workspace.tar, { ref: IMAGE })
      say(`starting ${String(MANY)} detached containers`)
      await repeat(MANY, () => first.run({ image: IMAGE, command: SLEEP, network: 'none', detach: true }))
      const samples = await repeat(Math.min(runs, 20), async () => {
        const start = performance.now()
        await using runtime = await Runtime.open(options)
        const opened = performance.now()
        const containers = await runtime.containers.list({ status: 'running' })
        const taken = performance.now()
        if (containers.length !== MANY) throw new Error(`took up ${String(containers.length)} containers`)
        return { open: opened - start, list: taken - opened }
      })
      const row = (subject: string, times: number[], aim?: string) => ({
        trial: 'adopt',
        subject: `podling ${subject}, ${String(MANY)} detached`,
        unit: 'ms',
        samples: times,
        ...(aim === undefined ? {} : { aim }),
      })
      return [
        row(
          'open',
          samples.map(({ open }) => open),
          'below 150 ms',
        ),
        row(
          'first list',
          samples.map(({ list }) => list),
        ),
      ]
    } finally {
      for (const container of await first.containers.list()) await container.remove({ force: true })
      await first.close()
      await rm(home, { recursive: true, force: true })
      await rm(runRoot, { recursive: true, force: true })
    }
  },
}
