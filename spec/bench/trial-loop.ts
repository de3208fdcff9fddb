/** How long a start keeps the event loop from turning, in a host with much memory. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Trial } from './trial.js'

const run = promisify(execFile)

/** What heavy-host.ts prints. */
export interface LoopReport {
  /** Longest gap between two turns of the loop, in milliseconds, for each start. */
  readonly starts: readonly number[]
  /** The same over stretches of like length in which nothing is started. */
  readonly idle: readonly number[]
  readonly residentMegabytes: number
}

export const loop: Trial = {
  name: 'loop',
  about: 'the longest time that one start keeps the event loop from turning, in a host of 650 MB',
  own: true,
  async run({ workspace, runs }) {
    const host = fileURLToPath(new URL('./heavy-host.js', import.meta.url))
    const { stdout } = await run(process.execPath, [host, workspace.directory, workspace.tar, String(runs)])
    const { starts, idle, residentMegabytes } = JSON.parse(stdout) as LoopReport
    const size = `host of ${String(Math.round(residentMegabytes))} MB`
    return [
      { trial: 'loop', subject: `podling, ${size}`, unit: 'ms blocked', samples: starts, aim: 'never over 2 ms' },
      { trial: 'loop', subject: `no start, ${size}`, unit: 'ms blocked', samples: idle },
    ]
  },
}
