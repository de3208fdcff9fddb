/** Whether a start with a published port costs the same when a network has many containers and ports already. */
import { IMAGE, LIMITS, repeat, timeRun, withRuntime } from './podling.js'
import type { Trial } from './trial.js'

const MANY = 500
const BATCH = 20
const ON_BRIDGE = { network: 'bridge', ports: [80] }

export const published: Trial = {
  name: 'published',
  about: 'starts with a published port, with none and with 500 containers on the network, each with a port',
  own: true,
  async run({ workspace, runs, say, signal }) {
    return withRuntime(workspace, async (runtime) => {
      await timeRun(runtime, ON_BRIDGE) // makes the bridge
      const first = await repeat(runs, () => timeRun(runtime, ON_BRIDGE))
      say(`starting ${String(MANY)} containers`)
      const options = { image: IMAGE, command: ['/bin/sleep', '1000000'], ...ON_BRIDGE, ...LIMITS }
      for (let made = 0; made < MANY; made += BATCH) {
        signal.throwIfAborted()
        await Promise.all(Array.from({ length: BATCH }, () => runtime.run(options)))
      }
      const last = await repeat(runs, () => timeRun(runtime, ON_BRIDGE))
      const row = { trial: 'published', unit: 'ms' }
      return [
        { ...row, subject: 'podling, alone on the network', samples: first },
        { ...row, subject: `podling, ${String(MANY)} running`, samples: last, aim: 'within 25% of alone' },
      ]
    })
  },
}
