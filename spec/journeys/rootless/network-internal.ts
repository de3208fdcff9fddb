/** Internal networks of an ordinary user, which need no way out: here is no pasta. */
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { openRuntime, processesNamed } from '../../fixtures/rootless-networks.js'

const { runtime, image } = await openRuntime()
const server = { image, command: ['answer', '80'], ready: { port: 80 } } satisfies ContainerOptions

t.test('they work without pasta, others say what is missing', async (t) => {
  await runtime.networks.create({ name: 'inner', internal: true })
  await using _one = await runtime.run({ ...server, name: 'one', network: 'inner' })
  const missing = { code: 'NETWORK_PROGRAM_NOT_FOUND', message: /pasta.*apt install passt/ }
  await t.rejects(runtime.run({ ...server, network: 'bridge' }), missing)
  await t.rejects(runtime.networks.connect('podling', 'one'), missing)
  await using two = await runtime.run({ image, network: 'inner', command: ['sleep', '1000'] })
  t.equal((await two.exec(['sh', '-c', 'nc -w 20 one 80 </dev/null'])).stdout.trim(), '80', 'by name')
})

t.test('with the runtime all of it goes', async (t) => {
  await runtime.close()
  while (processesNamed(/^(podling-(net|ports|forward|dns)|pasta)/).length > 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.pass('its keeper and responders')
})
