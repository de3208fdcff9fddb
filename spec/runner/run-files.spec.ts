import t from 'tap'
import { runFiles, type TestFile } from './run-files.js'

/** A test file that is a shell's script, in a directory of its test's own. */
const file = (name: string, script: string): TestFile => ({ name, command: 'sh', args: ['-c', script] })

const good = file('good', 'echo "ok 1 - fine"; echo 1..1')
const bad = file('bad', 'echo ran >>bad; echo "not ok 1 - broken"; echo 1..1')
const racing = file('racing', '[ -e raced ] && echo "ok 1 - won" || echo "not ok 1 - lost"; echo 1..1; touch raced')

t.test('what failed is run once more, alone, and told as unsteady if it passes', async (t) => {
  const said = t.capture(console, 'log')
  const outcome = await runFiles([racing, good, bad], t.testdir(), 60, 2)
  t.match(outcome, { passed: 2, unsteady: ['racing'], failed: [{ name: 'bad > broken' }] })
  t.equal(outcome.failed.length, 1)
  const lines = said.args().flat().join('\n')
  t.match(lines, /^not ok: racing > lost$/m, 'its failure is told')
  t.equal(lines.match(/^not ok bad /gm)?.length, 2)
})

t.test('more failures than chances are no chance', async (t) => {
  t.capture(console, 'log')
  const outcome = await runFiles([racing, good, bad], t.testdir(), 60, 1)
  t.match(outcome, { passed: 1, unsteady: [], failed: [{ name: 'racing > lost' }, { name: 'bad > broken' }] })
})

t.test('a program that ends by a signal or with a code of its own has failed', async (t) => {
  t.capture(console, 'log')
  const files = [file('killed', 'echo "ok 1"; echo 1..1; kill -9 $$'), file('code', 'echo "ok 1"; echo 1..1; exit 3')]
  t.match(await runFiles(files, t.testdir(), 60, 0), {
    failed: [
      { name: 'killed', details: 'ended with SIGKILL' },
      { name: 'code', details: 'all passed, but its exit code is 3' },
    ],
  })
})
