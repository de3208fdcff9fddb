/**
 * A host that pulls: `node puller.js ROOT DRIVER REF`. For each line that comes it pulls the image, prints what it took as
 * JSON, and removes it again. A process of its own, so that its loop and its memory are nobody else's.
 */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Runtime, type DriverName } from 'podling'

export interface PullReport {
  readonly milliseconds: number
  /** The longest time that the event loop did not turn. */
  readonly blocked: number
  /** The same over a stretch of the same length in which nothing was pulled. */
  readonly idle: number
  /** How much more memory the process had at most. */
  readonly megabytes: number
}

const [root = '', driver = 'overlay', ref = ''] = process.argv.slice(2)
await using runtime = await Runtime.open({ root, storageDriver: driver as DriverName })

/** Watch the loop until told to stop: a turn a millisecond is what a timer allows. */
function watch(): () => { blocked: number; megabytes: number } {
  const before = process.memoryUsage.rss()
  let most = before
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last - 1)
    last = now
    most = Math.max(most, process.memoryUsage.rss())
  }, 1)
  return () => {
    clearInterval(timer)
    return { blocked: longest, megabytes: (most - before) / 1e6 }
  }
}

console.log('ready')
for await (const line of createInterface(process.stdin)) {
  if (line !== 'pull') break
  const stop = watch()
  const start = performance.now()
  const image = await runtime.images.pull(ref)
  const milliseconds = performance.now() - start
  const { blocked, megabytes } = stop()
  await runtime.images.remove(image)
  const stopIdle = watch()
  await sleep(milliseconds)
  const { blocked: idle } = stopIdle()
  const report: PullReport = { milliseconds, blocked, idle, megabytes }
  console.log(JSON.stringify(report))
}
