/** A runtime that opens with the ids of the user's range, which its containers have. */
import t from 'tap'
import { Runtime } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

t.test('open, and run', async (t) => {
  await using runtime = await Runtime.open()
  t.match((await runtime.info()).userNamespace, { uids: 65_537, gids: 65_537, warnings: [] })
  const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })
  await using container = await runtime.run({ image, command: ['sleep', '1000'], user: 'app', network: 'none' })
  t.equal((await container.exec(['id', '-u'])).stdout, '1000\n')
})
