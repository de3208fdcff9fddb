/** Events that one process writes and another one sees. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { EventJournal } from '../../lib/event/journal.js'
import { readEvents } from '../../lib/event/read-events.js'
import { repeat } from './podling.js'
import type { Trial } from './trial.js'

const COUNT = 10_000
const writer = fileURLToPath(new URL('../fixtures/event-writer.js', import.meta.url))

export const events: Trial = {
  name: 'events',
  about: 'ten thousand events of another process, from the first to the last that is seen here',
  own: true,
  async run({ workspace, runs }) {
    const once = async (run: number): Promise<number> => {
      const journal = EventJournal.open(`${workspace.directory}/events-${String(run)}`)
      const stop = new AbortController()
      const reader = readEvents(journal.paths, {}, journal.end(), stop.signal)
      const child = fork(writer, [journal.paths.directory, 'e', String(COUNT), String(1 << 30)])
      await reader.next()
      const start = performance.now()
      for (let seen = 1; seen < COUNT; seen++) await reader.next()
      const seconds = (performance.now() - start) / 1000
      stop.abort()
      await reader.next()
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve))
      return COUNT / seconds
    }
    const samples = await repeat(Math.max(3, Math.ceil(runs / 10)), once)
    return [
      {
        trial: 'events',
        subject: 'podling, seen by another process',
        unit: 'events/s',
        samples,
        aim: 'at least 10,000',
      },
    ]
  },
}
