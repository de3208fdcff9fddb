import t from 'tap'
import { K8sEntryReader } from '../../../lib/container/log/k8s-entry.js'
import { LineJoiner, LONGEST_LINE } from '../../../lib/container/log/line.js'

const entry = (text: string) => new K8sEntryReader().read(Buffer.from(text))

t.test('reads an entry', async (t) => {
  const read = entry('2026-11-24T14:21:39.123456789+00:00 stderr F hello  world')
  t.match(read, { stream: 'stderr', partial: false, timestamp: '2026-11-24T14:21:39.123456789+00:00' })
  t.equal(read?.content.toString(), 'hello  world', 'spaces of the text are kept')
  t.equal(entry('2026-11-24T14:21:39.1Z stdout F ')?.content.length, 0, 'an empty line')
})

t.test('passes over what is no entry', async (t) => {
  for (const text of [
    '',
    'x',
    '2026-11-24T14:21:39Z stdout',
    '2026-11-24T14:21:39Z stdlog F x',
    '2026-11-24T14:21:39Z stdout X x',
    'yesterday stdout F x',
    '2026-11-24T14:21:39Z stdout Fx',
  ]) {
    t.equal(entry(text), undefined, JSON.stringify(text))
  }
})

t.test('joins the pieces of a line, each stream by itself, and a character split between them', async (t) => {
  const joiner = new LineJoiner()
  const euro = Buffer.from('€')
  const piece = (stream: 'stdout' | 'stderr', content: Buffer, partial: boolean) => ({
    stream,
    content,
    partial,
    timestamp: '2026-11-24T14:21:39Z',
    time: new Date('2026-11-24T14:21:39Z'),
  })
  t.equal(joiner.add(piece('stdout', Buffer.concat([Buffer.from('a'), euro.subarray(0, 1)]), true)), undefined)
  t.match(joiner.add(piece('stderr', Buffer.from('e'), false)), { stream: 'stderr', text: 'e' })
  const line = joiner.add(piece('stdout', Buffer.concat([euro.subarray(1), Buffer.from('b')]), false))
  t.match(line, { stream: 'stdout', text: 'a€b', time: new Date('2026-11-24T14:21:39Z') })
  t.notOk(line?.partial)
})

t.test('gives an endless line in pieces', async (t) => {
  const joiner = new LineJoiner()
  const content = Buffer.alloc(64 * 1024, 'x')
  let longest = 0
  let pieces = 0
  for (let sent = 0; sent < 10 * LONGEST_LINE; sent += content.length) {
    const line = joiner.add({
      stream: 'stdout',
      content,
      partial: true,
      timestamp: '2026-11-24T14:21:39Z',
      time: new Date('2026-11-24T14:21:39Z'),
    })
    if (line === undefined) continue
    t.equal(line.partial, true)
    longest = Math.max(longest, line.text.length)
    pieces++
  }
  t.ok(longest <= LONGEST_LINE + content.length)
  t.equal(pieces, 10)
})
