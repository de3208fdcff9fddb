/**
 * A host that pulls: `node puller.js ROOT DRIVER REF`. For each line that comes it pulls the image, prints what it took as
 * JSON, and removes it again. A process of its own, so that its loop and its memory are nobody else's.
 */
import { openSync, readSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Runtime, type DriverName } from 'podling'

export interface PullReport {
  readonly milliseconds: number
  /** The longest time that the event loop did not turn. */
  readonly blocked: number
  /** The same without what its thread waited for a CPU that others had. */
  readonly own: number
  /** The same over a stretch of the same length in which nothing was pulled. */
  readonly idle: number
  /** How much more memory the process had at most. */
  readonly megabytes: number
}

const [root = '', driver = 'overlay', ref = ''] = process.argv.slice(2)
await using runtime = await Runtime.open({ root, storageDriver: driver as DriverName })

const schedule = openSync(`/proc/self/task/${String(process.pid)}/schedstat`, 'r')
const line = Buffer.alloc(128)

/** Milliseconds that this thread has waited for a CPU in all: the second number, in nanoseconds; see sched-stats of the kernel. */
function waited(): number {
  const length = readSync(schedule, line, 0, line.length, 0)
  return Number(line.toString('latin1', 0, length).split(' ')[1]) / 1e6
}

/** Watch the loop until told to stop: a turn a millisecond is what a timer allows. */
function watch(): () => Pick<PullReport, 'blocked' | 'own' | 'megabytes'> {
  const before = process.memoryUsage.rss()
  let most = before
  let blocked = 0
  let own = 0
  let last = performance.now()
  let waits = waited()
  const timer = setInterval(() => {
    const now = performance.now()
    const waitsNow = waited()
    blocked = Math.max(blocked, now - last - 1)
    own = Math.max(own, now - last - 1 - (waitsNow - waits))
    last = now
    waits = waitsNow
    most = Math.max(most, process.memoryUsage.rss())
  }, 1)
  return () => {
    clearInterval(timer)
    return { blocked, own, megabytes: (most - before) / 1e6 }
  }
}

console.log('ready')
for await (const command of createInterface(process.stdin)) {
  if (command !== 'pull') break
  const stop = watch()
  const start = performance.now()
  const image = await runtime.images.pull(ref)
  const milliseconds = performance.now() - start
  const watched = stop()
  await runtime.images.remove(image)
  const stopIdle = watch()
  await sleep(milliseconds)
  const { blocked: idle } = stopIdle()
  const report: PullReport = { ...watched, milliseconds, idle }
  console.log(JSON.stringify(report))
}
