/** A service that takes its time to warm up, started anew and restored from a checkpoint of it when it was warm. */
import { rm } from 'node:fs/promises'
import type { Container } from 'podling'
import { repeat, withRuntime } from './podling.js'
import type { Row } from './table.js'
import type { Trial } from './trial.js'

/** Half a second of work on a quiet machine, all of it in memory afterwards. */
const SERVICE = `
  const table = new Map()
  for (let i = 0; i < 400_000; i++) table.set('key ' + i, { i, text: String(i).repeat(4) })
  console.log('warm', table.size)
  setInterval(() => console.log('tick', table.size), 5)
`

/** Its first line, whatever it is: it runs. */
async function firstLine(container: Container): Promise<void> {
  for await (const { text } of container.logs({ follow: true })) {
    if (!text.startsWith('warm') && !text.startsWith('tick')) throw new Error(`it said ${text}`)
    return
  }
}

export const restore: Trial = {
  name: 'restore',
  about:
    'a Node service of 400,000 objects: started until it is warm, and restored from a checkpoint until it says something',
  own: true,
  async run({ workspace, runs }) {
    return withRuntime(workspace, async (runtime): Promise<Row[]> => {
      const files = [{ to: '/service.js', content: SERVICE }]
      const image = await runtime.images.fromHost({ binaries: ['node'], files, ref: 'podling-bench-service' })
      const path = `${workspace.directory}/checkpoint`
      const count = Math.max(3, Math.ceil(runs / 10))
      const checkpoints: number[] = []
      const starts = await repeat(count, async () => {
        const start = performance.now()
        const container = await runtime.run({ image, command: ['node', '/service.js'], network: 'none' })
        await firstLine(container)
        const took = performance.now() - start
        await rm(path, { recursive: true, force: true })
        const begun = performance.now()
        await container.checkpoint({ path })
        checkpoints.push(performance.now() - begun)
        await container.remove({ force: true })
        return took
      })
      const restores = await repeat(count, async () => {
        const start = performance.now()
        const container = await runtime.containers.restore({ path })
        await firstLine(container)
        const took = performance.now() - start
        await container.remove({ force: true })
        return took
      })
      return [
        { trial: 'restore', subject: 'podling, started and warmed up', unit: 'ms', samples: starts },
        { trial: 'restore', subject: 'podling, checkpointed', unit: 'ms', samples: checkpoints },
        {
          trial: 'restore',
          subject: 'podling, restored',
          unit: 'ms',
          samples: restores,
          aim: 'a fraction of the start',
        },
      ]
    })
  },
}
