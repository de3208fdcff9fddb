/** Limits as options give them, in the files of a pure v2 machine: plain ones here, as there is no such machine by. */
import t from 'tap'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { V2Cgroups } from '../../lib/cgroup/v2.js'
import { limitResources } from '../../lib/container/limits/resources.js'
import { normalizeLimits } from '../../lib/container/limits/parse-limits.js'
import { makeCgroup } from '../cgroup/enact.js'

const names = [
  'memory.max',
  'memory.high',
  'memory.low',
  'memory.swap.max',
  'cpu.max',
  'cpu.weight',
  'io.max',
  'io.weight',
]

function machine(parent: string) {
  const cgroups = new V2Cgroups({
    mode: 'v2',
    v1: new Map(),
    unified: parent,
    v2: new Map([
      ['memory', true],
      ['cpu', true],
      ['io', true],
    ]),
    chain: [parent],
    facts: { files: new Set(names), hugepageSizes: [] },
  })
  mkdirSync(join(parent, 'web'))
  for (const name of names) writeFileSync(join(parent, 'web', name), '')
  const file = (name: string): string => readFileSync(join(parent, 'web', name), 'utf8').trim()
  const all = (): Record<string, string> => {
    const texts = names.map((name): [string, string] => [name, file(name)])
    return Object.fromEntries(texts.filter(([, text]) => text !== ''))
  }
  return { cgroups, all }
}

const limits = {
  memory: '64m',
  memoryHigh: '48m',
  memoryReservation: '16m',
  cpuQuota: 25_000,
  cpuPeriod: 50_000,
  cpuWeight: 7,
}
const written = {
  'memory.max': '67108864',
  'memory.high': '50331648',
  'memory.low': '16777216',
  'memory.swap.max': '67108864',
  'cpu.max': '25000 50000',
  'cpu.weight': '7',
}

t.test('at the start', async (t) => {
  const { cgroups, all } = machine(t.testdir())
  makeCgroup({ ...cgroups.plan('web', limitResources(normalizeLimits(limits))), directories: [] })
  t.strictSame(all(), written)
})

t.test('by an update', async (t) => {
  const { cgroups, all } = machine(t.testdir())
  await cgroups.update('web', limitResources(normalizeLimits(limits)))
  t.strictSame(all(), written)
})

t.test('of disks', async (t) => {
  const { cgroups, all } = machine(t.testdir())
  const { blockIO } = limitResources(normalizeLimits({ blkioWeight: 500 }))
  const throttleReadBpsDevice = [{ major: 8, minor: 0, rate: 1 << 20 }]
  await cgroups.update('web', { blockIO: { ...blockIO, throttleReadBpsDevice } })
  t.strictSame(all(), { 'io.max': '8:0 rbps=1048576', 'io.weight': 'default 4950' })
})
