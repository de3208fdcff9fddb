import t from 'tap'
import { deviceProgram } from '../../lib/cgroup/device-program.js'
import { allowsEverything, deviceRules, v1DeviceLines } from '../../lib/cgroup/device-rules.js'
import type { DeviceRule } from '../../lib/cgroup/resources.js'

interface Request {
  readonly type: 'c' | 'b'
  readonly major: number
  readonly minor: number
  readonly access: string
}

const BITS: Record<string, number> = { m: 1, r: 2, w: 4 }

/** Run a program as the kernel would, and refuse what its verifier refuses: unreachable code and running off the end. */
function run(program: Uint8Array, request: Request): boolean {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength)
  const access = Array.from(request.access).reduce((bits, letter) => bits | BITS[letter]!, 0)
  const context = [(access << 16) | (request.type === 'b' ? 1 : 2), request.major, request.minor]
  const registers = new Array<number>(6).fill(NaN)
  let at = 0
  for (let steps = 0; steps < 10_000; steps++) {
    if (at * 8 >= program.length) throw new Error('ran off the end')
    const code = view.getUint8(at * 8)
    const to = view.getUint8(at * 8 + 1) & 15
    const from = view.getUint8(at * 8 + 1) >> 4
    const offset = view.getInt16(at * 8 + 2, true)
    const value = view.getInt32(at * 8 + 4, true)
    at++
    switch (code) {
      case 0x61:
        registers[to] = context[offset / 4]!
        break
      case 0x54:
        registers[to]! &= value
        break
      case 0x74:
        registers[to]! >>>= value
        break
      case 0xb4:
        registers[to] = value
        break
      case 0xbc:
        registers[to] = registers[from]!
        break
      case 0x05:
        at += offset
        break
      case 0x56:
        if (registers[to] !== value) at += offset
        break
      case 0x16:
        if (registers[to] === value) at += offset
        break
      case 0x95:
        return registers[0] === 1
      default:
        throw new Error(`unknown instruction ${code.toString(16)}`)
    }
  }
  throw new Error('does not end')
}

/** The meaning of the rules in the plainest words: for each access the last rule that speaks of it decides. */
function allowed(rules: readonly DeviceRule[], request: Request): boolean {
  return Array.from(request.access).every((letter) => {
    const rule = rules.findLast(
      ({ type = 'a', major = -1, minor = -1, access = 'rwm' }) =>
        (type === 'a' || type === request.type) &&
        (major < 0 || major === request.major) &&
        (minor < 0 || minor === request.minor) &&
        access.includes(letter),
    )
    return rule?.allow ?? false
  })
}

const REQUESTS: Request[] = ['r', 'w', 'm', 'rw', 'rwm'].flatMap((access) =>
  [
    [1, 3],
    [1, 11],
    [5, 2],
    [136, 7],
    [8, 0],
    [8, 1],
    [4095, 1048575],
  ].flatMap(([major, minor]) => (['c', 'b'] as const).map((type) => ({ type, major: major!, minor: minor!, access }))),
)

function agrees(test: Pick<typeof t, 'fail' | 'pass'>, rules: readonly DeviceRule[]): void {
  const program = deviceProgram(rules)
  for (const request of REQUESTS) {
    const got = program === undefined ? true : run(program, request)
    if (got !== allowed(rules, request)) test.fail('disagrees', { rules, request, got })
  }
  test.pass('program and rules agree')
}

t.test('the default rules', async (t) => {
  const rules = deviceRules(undefined)
  agrees(t, rules)
  const program = deviceProgram(rules)!
  t.ok(run(program, { type: 'c', major: 1, minor: 3, access: 'rw' }), 'null')
  t.ok(run(program, { type: 'b', major: 8, minor: 0, access: 'm' }), 'mknod of anything')
  t.notOk(run(program, { type: 'b', major: 8, minor: 0, access: 'r' }), 'reading a disk')
  t.notOk(run(program, { type: 'c', major: 1, minor: 11, access: 'r' }), 'kmsg')
})

t.test('own rules stand between the denial of all and the defaults', async (t) => {
  const rules = deviceRules([
    { allow: true, type: 'b', major: 8, access: 'rw' },
    { allow: false, type: 'b', major: 8, minor: 1, access: 'w' },
  ])
  agrees(t, rules)
  t.ok(run(deviceProgram(rules)!, { type: 'b', major: 8, minor: 1, access: 'r' }))
  t.notOk(run(deviceProgram(rules)!, { type: 'b', major: 8, minor: 1, access: 'rw' }))
})

t.test('accesses that two rules grant one by one pass together', async (t) => {
  const rules: DeviceRule[] = [
    { allow: true, type: 'b', major: 8, minor: 0, access: 'r' },
    { allow: true, type: 'b', major: 8, minor: 0, access: 'w' },
  ]
  agrees(t, rules)
  t.ok(run(deviceProgram(rules)!, { type: 'b', major: 8, minor: 0, access: 'rw' }))
})

t.test('a container that may do everything needs no program', async (t) => {
  const rules = deviceRules([{ allow: true, access: 'rwm' }])
  t.ok(allowsEverything(rules))
  t.equal(deviceProgram(rules), undefined)
  t.not(deviceProgram(deviceRules([{ allow: true, type: 'c', access: 'rwm' }])), undefined)
})

t.test('random rules mean in the program what they mean in words', async (t) => {
  let seed = 42
  const pick = <T>(values: readonly T[]): T => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return values[(seed >>> 16) % values.length]!
  }
  for (let round = 0; round < 300; round++) {
    const rules = Array.from({ length: pick([0, 1, 2, 3, 5, 8]) }, (): DeviceRule => ({
      allow: pick([true, false]),
      type: pick(['a', 'c', 'b']),
      access: pick(['r', 'w', 'm', 'rw', 'rm', 'rwm']),
      major: pick([-1, 1, 8]),
      minor: pick([-1, 0, 3]),
    }))
    const program = deviceProgram(rules)
    for (const request of REQUESTS) {
      const got = program === undefined ? true : run(program, request)
      if (got !== allowed(rules, request)) t.fail('disagrees', { rules, request, got })
    }
  }
  t.pass('300 sets of rules')
})

t.test('lines for cgroup v1', async (t) => {
  t.strictSame(v1DeviceLines({ allow: false }), ['a'])
  t.strictSame(v1DeviceLines({ allow: true, type: 'c', major: 136, access: 'rw' }), ['c 136:* rw'])
  t.strictSame(v1DeviceLines({ allow: true, type: 'u', major: 1, minor: 2 }), ['c 1:2 rwm'])
  t.strictSame(v1DeviceLines({ allow: true, access: 'm' }), ['c *:* m', 'b *:* m'], 'v1 reads a as everything')
  t.strictSame(v1DeviceLines({ allow: true, type: 'p' }), [], 'fifos are no devices')
})
