/** A hundred megabytes out of a container through stdout, and what the host's memory does meanwhile. */
import { IMAGE, LIMITS, repeat, withRuntime } from './podling.js'
import type { Trial } from './trial.js'

const MEGABYTES = 100
const COMMAND = ['/bin/dd', 'if=/dev/zero', 'bs=1M', `count=${String(MEGABYTES)}`] as const

export const stream: Trial = {
  name: 'stream',
  about: 'a process in a container writes 100 MB to its stdout, read as a stream',
  own: true,
  async run({ workspace, runs }) {
    return withRuntime(workspace, async (runtime) => {
      const container = await runtime.run({
        image: IMAGE,
        command: ['/bin/sleep', '1000000'],
        network: 'none',
        ...LIMITS,
      })
      const once = async (): Promise<{ rate: number; growth: number }> => {
        const before = process.memoryUsage.rss()
        let peak = before
        let bytes = 0
        const start = performance.now()
        const child = await container.spawn(COMMAND)
        for await (const chunk of child.stdout as AsyncIterable<Uint8Array>) {
          bytes += chunk.length
          peak = Math.max(peak, process.memoryUsage.rss())
        }
        await child.exited
        const seconds = (performance.now() - start) / 1000
        if (bytes !== MEGABYTES << 20) throw new Error(`${String(bytes)} bytes arrived of ${String(MEGABYTES)} MB`)
        return { rate: bytes / 1e6 / seconds, growth: (peak - before) / 1e6 }
      }
      await once()
      const results = await repeat(Math.max(3, Math.ceil(runs / 10)), once)
      return [
        {
          trial: 'stream',
          subject: 'podling, stdout',
          unit: 'MB/s',
          samples: results.map(({ rate }) => rate),
          aim: 'at least 500',
        },
        {
          trial: 'stream',
          subject: "podling, the host's growth",
          unit: 'MB',
          samples: results.map(({ growth }) => growth),
          aim: 'flat',
        },
      ]
    })
  },
}
