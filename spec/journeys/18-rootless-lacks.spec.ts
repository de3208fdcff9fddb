/** What a machine may lack for an ordinary user, and works all the same: done otherwise, or with less and said so. */
import t from 'tap'
import { inPlaceOf, subIds } from '../fixtures/machine-files.js'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

const needed = needs('root', 'busybox', 'uidmap')

/** Of xattr(7): what capabilities(7) has by the number for a file, all in effect. */
function fileCapability(number: number): string {
  const data = Buffer.alloc(20)
  data.writeUInt32LE(0x0200_0001, 0) // VFS_CAP_REVISION_2, VFS_CAP_FLAGS_EFFECTIVE
  data.writeUInt32LE(1 << number, 4)
  return `0x${data.toString('hex')}`
}

t.test(
  'newuidmap with file capabilities in the place of its setuid bit',
  needs('root', 'busybox', 'uidmap', 'attr'),
  async (t) => {
    const prepare = Object.entries({ newuidmap: 7, newgidmap: 6 }).map(([program, number]) => {
      const path = `/usr/bin/${program}`
      const capability = `setfattr -n security.capability -v ${fileCapability(number)} "$t"`
      return inPlaceOf(path, `cp ${path} "$t"\nchmod 755 "$t"\n${capability}`)
    })
    await runAs(t, makeUser(t), 'opens', { prepare: prepare.join('\n') })
  },
)

t.test('no range', needed, async (t) => {
  const environment = { WARNING: '/etc/subuid gives none; as root: echo' }
  await runAs(t, makeUser(t, { subIds: false }), 'single-id', { environment })
})

t.test('no newuidmap', needed, async (t) => {
  const prepare = inPlaceOf('/usr/bin/newuidmap', 'true')
  const environment = { WARNING: "newuidmap can't be found; install Debian's package uidmap" }
  await runAs(t, makeUser(t), 'single-id', { environment, prepare })
})

t.test('a range that is too small', needed, async (t) => {
  const user = makeUser(t)
  await runAs(t, user, 'small-range', { prepare: subIds(({ name }) => `${name}:3000000:10\\n`)(user) })
})
