import { setTimeout as sleep } from 'node:timers/promises'
import { openCgroups } from '../cgroup/open.js'
import type { Cgroups } from '../cgroup/cgroups.js'
import { PodlingError } from '../errors.js'
import type { Context } from './context.js'
import { eventStats, type EventStats } from './event-stats.js'
import { OciError } from './oci-error.js'
import { print } from './print.js'
import { isAlive } from './process-of.js'
import type { ContainerRecord } from './record.js'

/** How often what has no interval is looked for, in milliseconds. */
const LOOK = 200

/** `events ID`: what it uses, at intervals, and when the kernel has killed in it for want of memory; once with `--stats`. */
export async function events({ store, line }: Context, id: string): Promise<number> {
  const interval = milliseconds(line.value('interval') ?? '5s')
  const record = store.read(id)
  if (!isAlive(record)) throw new OciError(`container with id ${id} is not running`)
  const cgroups = await openCgroups({ parent: record.place.parent })
  const told = read(cgroups, record)
  if (line.has('stats')) {
    if (told !== undefined) say(id, 'stats', told.data)
    return 0
  }
  let oomKills = told?.oomKills ?? 0
  for (let due = performance.now() + interval; ;) {
    // Its last: read after it was seen dead, as its cgroup outlives it until it is deleted.
    const alive = isAlive(record)
    const now = read(cgroups, record)
    for (; oomKills < (now?.oomKills ?? 0); oomKills++) say(id, 'oom')
    if (!alive || now === undefined) return 0
    if (performance.now() >= due) {
      say(id, 'stats', now.data)
      due += interval
    }
    await sleep(Math.max(1, Math.min(LOOK, due - performance.now())))
  }
}

function read(cgroups: Cgroups, { place, cgroup }: ContainerRecord): EventStats | undefined {
  try {
    return eventStats(cgroups.stats(place.name), cgroup.directories)
  } catch (error) {
    if (error instanceof PodlingError && error.code === 'CGROUP_NOT_FOUND') return undefined
    throw error
  }
}

function say(id: string, type: 'stats' | 'oom', data?: unknown): void {
  print(`${JSON.stringify({ type, id, data })}\n`)
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** A duration as Go writes it: `5s`, `1m30s`, `500ms`. @throws OciError */
function milliseconds(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) {
    throw new OciError(`invalid value ${JSON.stringify(text)} for flag -interval: parse error`)
  }
  const sum = parts.reduce((total, [, number, unit]) => total + Number(number) * units[unit!]!, 0)
  if (sum <= 0) throw new OciError('duration interval must be greater than 0')
  return sum
}
