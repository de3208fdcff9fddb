/**
 * A host with 650 MB resident that starts containers while it turns its event loop as fast as it can and keeps the longest
 * gap. A process of its own, so that the memory weighs on nothing else.
 *
 *     node heavy-host.js DIRECTORY TAR RUNS
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openRuntime, repeat, timeRun } from './podling.js'
import type { LoopReport } from './trial-loop.js'

const RESIDENT = 650 << 20

/** Turn the loop until the work is done. @returns the longest gap between two turns, in milliseconds */
async function longestGap(work: Promise<unknown>): Promise<number> {
  let longest = 0
  let done = false
  const finished = work.finally(() => {
    done = true
  })
  await new Promise<void>((resolve) => {
    let last = performance.now()
    const turn = (): void => {
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
      if (done) resolve()
      else setImmediate(turn)
    }
    setImmediate(turn)
  })
  await finished
  return longest
}

const [directory = '', tar = '', runs = '100'] = process.argv.slice(2)
// Filled, since pages that were never written aren't resident, and a fork has nothing to copy of them.
const ballast = Buffer.alloc(RESIDENT, 1)
const { runtime, dispose } = await openRuntime(directory, tar)
try {
  await timeRun(runtime) // the first start pays for the launcher
  const starts = await repeat(Number(runs), () => longestGap(timeRun(runtime)))
  const idle = await repeat(Number(runs), () => longestGap(sleep(5)))
  const report: LoopReport = { starts, idle, residentMegabytes: process.memoryUsage.rss() / (1 << 20) }
  process.stdout.write(JSON.stringify(report))
} finally {
  await dispose()
}
if (ballast.length !== RESIDENT) throw new Error('the ballast has to live until here')
