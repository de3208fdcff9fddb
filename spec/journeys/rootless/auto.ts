/** The driver that `auto` takes is EXPECTED, since overlay can't be had here: it says why, and runs a container. */
import t from 'tap'
import { Runtime } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const expected = process.env['EXPECTED']
const runtime = await Runtime.open()
t.teardown(() => runtime.close())

t.test('it is what works', async (t) => {
  const { storageDriver, storageDrivers } = await runtime.info()
  t.equal(storageDriver, expected)
  t.match(
    storageDrivers.find(({ name }) => name === 'overlay'),
    { works: false, reason: /mount the overlay .*: EINVAL/ },
  )
})

t.test('it keeps owners, and what is written', async (t) => {
  const add = [{ name: 'srv/file', mode: 0o600, uid: 33, gid: 44, content: 'of 33' }]
  const image = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'base:test' })
  await using container = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  await container.exec(['sh', '-c', 'echo new > /srv/new; chown 7:8 /srv/new'])
  await container.restart({ timeout: 0 })
  t.match(await container.exec(['stat', '-c', '%n %u %g', '/srv/file', '/srv/new']), {
    stdout: '/srv/file 33 44\n/srv/new 7 8\n',
  })
})
