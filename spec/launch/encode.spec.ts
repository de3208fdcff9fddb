import t from 'tap'
import { planMagic } from '../../lib/launch/encode/numbers.js'
import { encodePlan } from '../../lib/launch/encode/plan.js'
import type { Plan } from '../../lib/launch/plan.js'
import { FrameReader, encodeRequest, frameKinds, reasons, stages, type Frame } from '../../lib/launch/protocol.js'

const empty: Plan = {
  create: ['mount', 'time'],
  join: [],
  cgroup: { directories: [], writes: [], attach: [] },
  stdio: { stdin: 'null', stdout: 'log', stderr: 'pass' },
  operations: [],
}

t.test('a plan has its size in front, and a magic', async (t) => {
  const bytes = encodePlan(empty)
  t.equal(bytes.readUInt32LE(0), bytes.length - 4)
  t.equal(bytes.readUInt32LE(4), planMagic)
  t.equal(bytes.readUInt32LE(12), 0x20080)
})

t.test('a big plan is as long as what is in it', async (t) => {
  const env = Array.from({ length: 20000 }, (_, i) => `NAME_${i}=${'ü'.repeat(50)}`)
  const small = encodePlan({ ...empty, operations: [{ op: 'exec', argv: ['a'], env: [] }] })
  const big = encodePlan({ ...empty, operations: [{ op: 'exec', argv: ['a'], env }] })
  t.equal(
    big.length - small.length,
    env.reduce((sum, text) => sum + Buffer.byteLength(text) + 5, 0),
  )
  t.equal(big.readUInt32LE(0), big.length - 4)
})

t.test('a NUL in a text is refused', async (t) => {
  t.throws(() => encodePlan({ ...empty, operations: [{ op: 'hostname', name: 'a\0b' }] }), { code: 'INVALID_OPTION' })
})

t.test('requests are of one size', async (t) => {
  t.same([...encodeRequest('kill', 7, 15, 1)], [4, 0, 0, 0, 7, 0, 0, 0, 15, 0, 0, 0, 1, 0, 0, 0])
})

function frame(kind: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(payload.length, 0)
  head.writeUInt32LE(kind, 4)
  return Buffer.concat([head, payload])
}

t.test('frames are cut out of a stream whatever the pieces', async (t) => {
  const head = Buffer.alloc(24)
  head.writeUInt32LE(42, 0)
  head.writeUInt32LE(3, 4)
  head.writeUInt32LE(41, 8)
  head.writeUInt32LE(1, 12)
  head.writeBigUInt64LE(1000n, 16)
  const identity = Buffer.alloc(12 + 8 + 4 + 2)
  for (const [at, value] of [5, 6, 2, 6, 7, 2].entries()) identity.writeUInt32LE(value, 4 * at)
  identity.write('/x', 24)
  const failed = Buffer.alloc(256)
  failed.writeUInt32LE(stages.operation, 0)
  failed.writeUInt32LE(3, 4)
  failed.writeUInt32LE(reasons['not-procfs'], 8)
  failed.write('statfs', 16)
  failed.write('no luck', 40)
  const exited = Buffer.alloc(48)
  exited.writeUInt32LE(137, 0)
  exited.writeUInt32LE(9, 4)
  exited.writeUInt32LE(1, 8)
  exited.writeUInt32LE(2, 12)
  exited.writeUInt32LE(1, 40)
  const due = Buffer.alloc(8)
  due.writeBigUInt64LE(9n)
  const answer = Buffer.alloc(8)
  answer.writeUInt32LE(9, 0)
  const all = Buffer.concat([
    frame(frameKinds.started, Buffer.concat([head, identity])),
    frame(frameKinds.failed, failed),
    frame(frameKinds.exited, exited),
    frame(frameKinds.exited, Buffer.concat([exited, Buffer.alloc(8 + 256)])),
    frame(frameKinds.ended, Buffer.concat([head, exited, due, failed, identity])),
    frame(frameKinds.frozen, Buffer.from([1, 0, 0, 0])),
    frame(frameKinds.answer, answer),
  ])
  const who = { pid: 42, restarts: 3, monitorPid: 41, frozen: true, startedAt: 1000, uid: 5, gid: 6, groups: [6, 7] }
  const failure = {
    stage: 'operation',
    index: 3,
    reason: 'not-procfs',
    error: 0,
    syscall: 'statfs',
    said: 'no luck',
  } as const
  const record = {
    exitCode: 137,
    signal: 9,
    oomKilled: true,
    restartCount: 2,
    startedAt: 0,
    finishedAt: 0,
    lostLogLines: 0,
    stoppedByUser: true,
  }
  const expected: Frame[] = [
    { kind: 'started', started: { ...who, home: '/x' } },
    { kind: 'failed', failure },
    { kind: 'exited', ending: { record } },
    { kind: 'exited', ending: { record } },
    { kind: 'ended', started: { ...who, home: '/x' }, ending: { record, dueAt: 9, failure } },
    { kind: 'frozen', frozen: true },
    { kind: 'answer', id: 9, error: 0 },
  ]
  for (const size of [1, 7, 8, 50, all.length]) {
    const reader = new FrameReader()
    const got: Frame[] = []
    for (let at = 0; at < all.length; at += size) got.push(...reader.push(all.subarray(at, at + size)))
    t.strictSame(got, expected, `pieces of ${size}`)
  }
  t.throws(() => new FrameReader().push(frame(99, answer)), RangeError)
})
