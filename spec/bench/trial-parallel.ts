/** Containers a second when 32 are started at once, again and again. */
import { repeat, timeRun, withRuntime } from './podling.js'
import type { Trial } from './trial.js'

const AT_ONCE = 32

export const parallel: Trial = {
  name: 'parallel',
  about: '32 containers at once, from start to exit, in containers a second',
  own: true,
  async run({ workspace, runs }) {
    return withRuntime(workspace, async (runtime) => {
      const rates = async (network: string): Promise<number[]> => {
        await timeRun(runtime, { network })
        return repeat(Math.max(3, Math.ceil(runs / 10)), async () => {
          const start = performance.now()
          await Promise.all(Array.from({ length: AT_ONCE }, () => timeRun(runtime, { network })))
          return (AT_ONCE * 1000) / (performance.now() - start)
        })
      }
      const subject = `podling, ${String(AT_ONCE)} at once`
      const row = { trial: 'parallel', unit: 'containers/s' }
      return [
        { ...row, subject, samples: await rates('none'), aim: 'at least 150' },
        { ...row, subject: `${subject} on one bridge`, samples: await rates('bridge'), aim: 'at least 100' },
      ]
    })
  },
}
