import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Removals } from '../../lib/storage/removals.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { openUnpacker } from '../fixtures/unpacker.js'
import { needs } from '../peers.js'

t.test('trees that are removed at once share an unpacker', async (t) => {
  const root = await temporaryDirectory(t)
  const names = Array.from({ length: 20 }, (_, i) => `tree${String(i)}`)
  for (const name of names) mkdirSync(join(root, name, 'a/b'), { recursive: true })
  let opened = 0
  const removals = new Removals((directory) => {
    opened++
    return openUnpacker(directory)
  }, root)
  await Promise.all([...names, 'never there'].map((name) => removals.remove(name)))
  t.equal(opened, 1)
  mkdirSync(join(root, 'later'))
  await removals.remove('later')
  t.strictSame(readdirSync(root), [])
})

t.test('one that resists is the only one to fail', needs('root'), async (t) => {
  const root = await temporaryDirectory(t)
  for (const name of ['first', 'busy/mounted', 'last']) mkdirSync(join(root, name), { recursive: true })
  const removals = new Removals(openUnpacker, root)
  execFileSync('mount', ['-t', 'tmpfs', 'podling-spec', join(root, 'busy/mounted')])
  try {
    const results = await Promise.allSettled(['first', 'busy', 'last'].map((name) => removals.remove(name)))
    t.match(results, [
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'SYSTEM_CALL_FAILED' } },
      { status: 'fulfilled' },
    ])
    t.strictSame(readdirSync(root), ['busy'])
  } finally {
    execFileSync('umount', [join(root, 'busy/mounted')])
  }
  await removals.remove('busy')
  t.strictSame(readdirSync(root), [])
})
