/** User namespaces of an ordinary user's containers. */
import t from 'tap'
import { makeUser, openFuse, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

for (const driver of ['overlay', 'vfs', 'fuse-overlayfs']) {
  t.test(driver, needs('root', 'busybox', 'uidmap', 'fuse-overlayfs'), async (t) => {
    const user = makeUser(t)
    await runAs(t, user, 'keep-id', { environment: { DRIVER: driver, NAME: user.name }, prepare: openFuse })
  })
}
