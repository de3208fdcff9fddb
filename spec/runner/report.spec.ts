import { Readable } from 'node:stream'
import t from 'tap'
import { readResults } from './report.js'

const read = (tap: string) => readResults(Readable.from([tap]), 'a.spec.ts')

t.test('counts leaves, not the lines that sum them up', async (t) => {
  const results = await read(`TAP version 14
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
`)
  t.same(results, {
    passed: 3,
    failed: [],
    skipped: [
      { name: 'a.spec.ts > left out', reason: "needs Debian's skopeo" },
      { name: 'a.spec.ts > later', reason: 'no reason given' },
    ],
  })
})

t.test('a failure is told once, with its diagnostics', async (t) => {
  const results = await read(`TAP version 14
# Subtest: outer
    ok 1 - one
    not ok 2 - two
      ---
      diff: |
        -1
        +2
      ...
    1..2
not ok 1 - outer
1..1
`)
  t.same(results, {
    passed: 1,
    failed: [{ name: 'a.spec.ts > outer > two', details: 'diff:\n    -1\n    +2' }],
    skipped: [],
  })
})

t.test('a subtest that fails though all in it passed has failed', async (t) => {
  const results = await read(`TAP version 14
# Subtest: outer
    ok 1 - one
    1..1
not ok 1 - outer
  ---
  expired: outer
  ...
1..1
`)
  t.same(results, { passed: 1, failed: [{ name: 'a.spec.ts > outer', details: 'expired: outer' }], skipped: [] })
})

t.test('a stream that ends early has failed', async (t) => {
  t.match((await read('TAP version 14\n1..2\nok 1 - one\n')).failed, [{ name: 'a.spec.ts' }])
  t.match((await read('Bail out! no disk\n')).failed, [{ details: 'bailout: no disk' }])
  t.match((await read('')).failed, [{ name: 'a.spec.ts' }])
})
