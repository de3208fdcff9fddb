/** What all of many running containers use, in one call; beside `podman stats --no-stream` of as many. */
import { IMAGE, LIMITS, repeat, withRuntime } from './podling.js'
import { Podman } from './peers.js'
import type { Row } from './table.js'
import { gather, inTurn, type Subject, type Trial } from './trial.js'

const MANY = 200
/** Podman starts a container in a fifth of a second, and takes as long for each of its stats. */
const PODMANS = 20
const SLEEP = ['/bin/sleep', '1000000'] as const

async function podmanStats(podman: Podman): Promise<Subject> {
  for (let i = 0; i < PODMANS; i++) {
    await podman.call('run', '--detach', ...podman.containerFlags('own'), podman.image, ...SLEEP)
  }
  return podman.subject(`podman stats --no-stream, ${String(PODMANS)} running`, 10, ['stats', '--no-stream'])
}

export const stats: Trial = {
  name: 'stats',
  about: `what ${String(MANY)} running containers use, all at once`,
  own: false,
  async run(context) {
    const { workspace, say, wants } = context
    const podman = wants('podman') ? await Podman.make(workspace) : undefined
    try {
      return await withRuntime(workspace, async (runtime): Promise<Row[]> => {
        const subjects = await gather(context, {
          podling: async () => {
            say(`starting ${String(MANY)} containers`)
            await repeat(MANY, () => runtime.run({ image: IMAGE, command: SLEEP, network: 'none', ...LIMITS }))
            const name = `podling stats, ${String(MANY)} running`
            const sample = async (): Promise<number> => {
              const start = performance.now()
              const all = await runtime.stats()
              const time = performance.now() - start
              if (all.length !== MANY) throw new Error(`stats of ${String(all.length)} containers`)
              return time
            }
            return [{ name, sample: async (count) => ({ [name]: await repeat(count, sample) }) }]
          },
          podman: async () => (podman === undefined ? [] : [await podmanStats(podman)]),
        })
        const samples = await inTurn(context, subjects)
        return [...samples].map(([subject, times]) => ({
          trial: 'stats',
          subject,
          unit: 'ms',
          samples: times,
          ...(subject.startsWith('podling') ? { aim: 'below 20 ms' } : {}),
        }))
      })
    } finally {
      await podman?.close()
    }
  },
}
