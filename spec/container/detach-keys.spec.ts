import t from 'tap'
import { KeyMatcher, parseDetachKeys, watchForKeys } from '../../lib/container/terminal/detach-keys.js'

const bytes = (keys: string): number[] => [...parseDetachKeys(keys)]

t.test('the words of podman-attach(1)', async (t) => {
  t.strictSame(bytes('ctrl-p,ctrl-q'), [16, 17])
  t.strictSame(bytes('ctrl-x,x'), [24, 120])
  t.strictSame(bytes('a'), [97])
  t.strictSame(bytes('ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL'), [0, 27, 28, 29, 30, 31, 127])
  t.strictSame(bytes(''), [])
})

t.test('what is none', async (t) => {
  for (const [keys, message] of [
    ['ctrl-P', /got 'ctrl-P'.*did you mean ctrl-p\?/],
    ['ctr-p,x', /got 'ctr-p' in 'ctr-p,x'; did you mean ctrl-p\?/],
    ['ctrl-', /got 'ctrl-'/],
    ['ctrl-1', /got 'ctrl-1'/],
    ['a,,b', /got ''/],
    ['ü', /got 'ü'/],
    ['ctrl-pp', /got 'ctrl-pp'/],
  ] as const) {
    t.throws(() => parseDetachKeys(keys), { code: 'INVALID_OPTION', message }, keys)
  }
  t.throws(() => parseDetachKeys(16 as never), { code: 'INVALID_OPTION', message: /must be a string/ })
})

/** What a matcher lets through of pieces, `|` where the keys were complete. */
function through(keys: string, ...pieces: string[]): string {
  const matcher = new KeyMatcher(Buffer.from(keys))
  let out = ''
  for (const piece of pieces) {
    const { passed, complete } = matcher.push(Buffer.from(piece))
    out += passed.toString() + (complete ? '|' : '')
    if (complete) return out
  }
  return out + matcher.rest().toString()
}

t.test('a sequence is found whatever pieces it comes in', async (t) => {
  t.equal(through('pq', 'abpqc'), 'ab|')
  t.equal(through('pq', 'ab', 'p', 'q', 'c'), 'ab|')
  t.equal(through('pq', 'app', 'q'), 'ap|', 'its first key may come before it')
  t.equal(through('pq', 'p', 'xp', 'p', 'p', 'q'), 'pxpp|')
  t.equal(through('aab', 'aaa', 'a', 'b'), 'aa|')
  t.equal(through('abab', 'ababc', 'xababa'), '|')
  t.equal(through('ababc', 'abab', 'abc'), 'ab|')
  t.equal(through('pq', 'ab', 'p'), 'abp', 'at the end what was kept back is passed on')
  t.equal(through('x', 'ab', 'cxd'), 'abc|')
})

t.test('found in no other place than a search of the whole would find it', async (t) => {
  let seed = 7
  const next = (below: number): number => (seed = (seed * 48271) % 2147483647) % below
  for (let round = 0; round < 3000; round++) {
    const keys = Array.from({ length: 1 + next(4) }, () => 'ab'[next(2)]).join('')
    const text = Array.from({ length: next(12) }, () => 'abc'[next(3)]).join('')
    const pieces: string[] = []
    for (let at = 0; at < text.length;) pieces.push(text.slice(at, (at += 1 + next(3))))
    const found = text.indexOf(keys)
    const expected = found < 0 ? text : `${text.slice(0, found)}|`
    if (through(keys, ...pieces) !== expected) t.fail(`${keys} in ${pieces.join(' ')}: ${through(keys, ...pieces)}`)
  }
})

t.test('as a stream', async (t) => {
  let told = 0
  const stream = watchForKeys(Buffer.from('pq'), () => told++)
  const out: string[] = []
  stream.on('data', (piece: Buffer) => out.push(piece.toString()))
  stream.write('one p')
  stream.write('qtwo')
  stream.end('three')
  await new Promise((done) => stream.on('end', done))
  t.strictSame([out.join(''), told], ['one ', 1])
})
