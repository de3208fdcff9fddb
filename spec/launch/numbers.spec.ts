import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import {
  healthActions,
  lifetimes,
  logKinds,
  opcodes,
  planMagic,
  planVersion,
  propagations,
  restartPolicies,
  stdioModes,
} from '../../lib/launch/encode/numbers.js'
import { healthOutputSize, healthResults, healthStatuses } from '../../lib/launch/health.js'
import {
  copyFrom,
  copyWays,
  frameKinds,
  killHow,
  reasons,
  requestKinds,
  restoredStreams,
  stages,
} from '../../lib/launch/protocol.js'

const native = join(dirname(fileURLToPath(import.meta.url)), '../../../native')

/** The numbers of one `enum` of a C header, by their names in the manner of TypeScript's side. */
function numbers(file: string, prefix: string): Record<string, number> {
  const found: Record<string, number> = {}
  const pattern = new RegExp(`^  ${prefix}_([A-Z_]+) = (\\d+),`, 'gm')
  for (const [, name, number] of readFileSync(join(native, file), 'utf8').matchAll(pattern)) {
    found[name!.toLowerCase().replaceAll('_', '-')] = Number(number)
  }
  return found
}

t.test('C and TypeScript agree on every number', async (t) => {
  const { count, ...operations } = numbers('plan.h', 'OP')
  t.strictSame(operations, opcodes)
  t.equal(count, Object.keys(opcodes).length + 1)
  t.strictSame(numbers('plan.h', 'PROPAGATION'), propagations)
  t.match(
    readFileSync(join(native, 'plan.h'), 'utf8'),
    `PLAN_MAGIC = 0x${planMagic.toString(16)}, PLAN_VERSION = ${planVersion}`,
  )
  const modes = Object.entries(stdioModes).map(([name, number]) => `STDIO_${name.toUpperCase()} = ${number}`)
  t.match(readFileSync(join(native, 'plan.h'), 'utf8'), modes.join(', '))
  const lives = Object.entries(lifetimes).map(([name, number]) => `LIFETIME_${name.toUpperCase()} = ${number}`)
  t.match(readFileSync(join(native, 'plan.h'), 'utf8'), lives.join(', '))
  t.match(readFileSync(join(native, 'plan.h'), 'utf8'), 'LOG_K8S = 1, LOG_JSON = 2, LOG_JOURNAL = 3 }')
  t.strictSame(Object.values(logKinds), [1, 2, 3])
  const policies = Object.entries(restartPolicies).map(
    ([name, number]) => `RESTART_${name.toUpperCase().replaceAll('-', '_')} = ${number}`,
  )
  t.match(readFileSync(join(native, 'plan.h'), 'utf8'), policies.join(', '))
  const actions = Object.entries(healthActions).map(([name, number]) => `HEALTH_${name.toUpperCase()} = ${number}`)
  t.match(readFileSync(join(native, 'plan.h'), 'utf8'), actions.join(', '))
  t.strictSame(numbers('protocol.h', 'HEALTH'), healthStatuses)
  t.match(
    readFileSync(join(native, 'protocol.h'), 'utf8'),
    `HEALTH_RESULTS = ${healthResults}, HEALTH_OUTPUT = ${healthOutputSize} }`,
  )
  t.strictSame(numbers('protocol.h', 'KILL'), killHow)
  t.strictSame(numbers('protocol.h', 'RESTORED'), restoredStreams)
  t.strictSame(numbers('protocol.h', 'REQUEST'), requestKinds)
  t.strictSame(numbers('protocol.h', 'FRAME'), frameKinds)
  const { directory, namespace, ...ways } = numbers('copy.h', 'COPY')
  t.strictSame({ directory, namespace }, copyFrom)
  t.strictSame(ways, copyWays)
  t.strictSame(numbers('protocol.h', 'STAGE'), stages)
  t.strictSame(numbers('protocol.h', 'REASON'), reasons)
})
