/** Attaching to a running container, until what it is given has come back from it. */
import { once } from 'node:events'
import { IMAGE, LIMITS, repeat, withRuntime } from './podling.js'
import type { Trial } from './trial.js'

export const attach: Trial = {
  name: 'attach',
  about: 'attach to a running cat, write a line to it and read the first byte that comes back',
  own: true,
  async run({ workspace, runs }) {
    return withRuntime(workspace, async (runtime) => {
      const samples: Record<string, readonly number[]> = {}
      for (const tty of [false, true]) {
        const container = await runtime.run({
          image: IMAGE,
          command: ['/bin/cat'],
          network: 'none',
          stdin: true,
          tty,
          ...LIMITS,
        })
        const time = async (): Promise<number> => {
          const start = performance.now()
          const attached = await container.attach()
          const first = once(attached.stdout, 'data')
          attached.stdin.write('x\n')
          await first
          const took = performance.now() - start
          await attached.detach()
          return took
        }
        await repeat(10, time)
        samples[tty ? 'podling, a terminal' : 'podling, pipes'] = await repeat(runs, time)
        await container.remove({ force: true })
      }
      return Object.entries(samples).map(([subject, values]) => ({
        trial: 'attach',
        subject,
        unit: 'ms' as const,
        samples: values,
        aim: 'below 2 ms',
      }))
    })
  },
}
