/** A user with a range of ten: what is beyond it is refused by name. */
import t from 'tap'
import { Runtime } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const runtime = await Runtime.open()
t.teardown(() => runtime.close())

t.test('a range of ten', async (t) => {
  t.match((await runtime.info()).userNamespace, {
    uids: 11,
    gids: 11,
    warnings: [/^containers have 11 users and 11 groups/],
  })
  const words = /home\/app.*: it is of user 1000, and containers of this user have ids below 11; .*\/etc\/subuid/
  await t.rejects(runtime.images.import(await busyboxRootfs()), { code: 'SUBIDS_TOO_FEW', message: words })
  const add = [{ name: 'srv/file', uid: 10, gid: 10, content: 'of 10' }]
  const image = await runtime.images.import(await busyboxRootfs({ without: ['home/app'], add }), { ref: 'small:test' })
  const container = { image, command: ['stat', '-c', '%u', '/srv/file'], network: 'none' } as const
  await using inside = await runtime.run({ ...container, user: '10' })
  t.match(await inside.wait(), { exitCode: 0 })
  await t.rejects(runtime.run({ ...container, user: '11' }), { code: 'SUBIDS_TOO_FEW' })
})
