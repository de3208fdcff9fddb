import { Readable } from 'node:stream'
import t from 'tap'
import { emptyTally, report } from './report.js'

async function read(tap: string) {
  const tally = emptyTally()
  const lines: string[] = []
  await report(Readable.from([tap]), tally, (line) => lines.push(line))
  return { tally, lines }
}

t.test('counts leaves, not the lines that sum them up', async (t) => {
  const { tally, lines } = await read(`TAP version 14
# Subtest: .build/spec/a.spec.js
    # Subtest: outer
        ok 1 - one
        # Subtest: inner
            ok 1 - two
            ok 2 - three
            1..2
        ok 2 - inner
        1..2
    ok 1 - outer
    ok 2 - left out # SKIP needs Debian's skopeo
    ok 3 - later # TODO
    1..3
ok 1 - .build/spec/a.spec.js # time=12ms
1..1
`)
  t.match(tally, { passed: 3, failed: 0, broken: false })
  t.same(tally.skipped, [
    { name: 'spec/a.spec.ts > left out', reason: "needs Debian's skopeo" },
    { name: 'spec/a.spec.ts > later', reason: 'no reason given' },
  ])
  t.same(lines, ['ok spec/a.spec.ts (3 passed, 2 skipped, 12 ms)'])
})

t.test('a failure is told with its diagnostics, once', async (t) => {
  const { tally, lines } = await read(`TAP version 14
# Subtest: a
    ok 1 - one
    not ok 2 - two
      ---
      diff: |
        -1
        +2
      ...
    1..2
not ok 1 - a
1..1
`)
  t.match(tally, { passed: 1, failed: 1, broken: true })
  t.same(lines, ['not ok: a > two', '    diff:\n        -1\n        +2', 'not ok a (1 passed, 1 failed)'])
})

t.test('a file that dies though all in it passed has failed', async (t) => {
  const { tally, lines } = await read(`TAP version 14
# Subtest: a
    ok 1 - one
    1..1
not ok 1 - a
  ---
  exitCode: 7
  ...
1..1
`)
  t.match(tally, { passed: 1, failed: 1, broken: true })
  t.match(lines.join('\n'), /exitCode: 7/)
})

t.test('a stream that ends early is broken', async (t) => {
  t.match((await read('TAP version 14\n1..2\nok 1 - one\n')).tally, { passed: 1, broken: true })
  t.match((await read('Bail out! no disk\n')).tally, { passed: 0, broken: true })
})
