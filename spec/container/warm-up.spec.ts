import t from 'tap'
import { warmUp } from '../../lib/container/warm-up.js'

t.test('a plain container is right in every step', async (t) => {
  await warmUp()
  t.pass()
})
