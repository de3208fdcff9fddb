/** A program may get two copies of Podling, of two versions that its dependencies want: both work. */
import { Runtime } from 'podling'
import t from 'tap'
import * as copy from '../../lib/index.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { needs } from '../peers.js'

t.test('two copies in a process', needs('root'), async (t) => {
  t.not(Runtime, copy.Runtime)
  const root = await temporaryDirectory(t)
  await using first = await Runtime.open({ root })
  await using second = await copy.Runtime.open({ root })
  t.strictSame([await first.images.list(), await second.images.list()], [[], []])
})
