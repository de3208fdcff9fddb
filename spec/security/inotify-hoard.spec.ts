/** What the kernel counts by users a container can take from its host: that must make nobody deaf. */
import t from 'tap'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

// As a user of its own, so that no other program of this machine has to do without meanwhile.
t.test('all instances of inotify', needs('root', 'busybox', 'uidmap'), async (t) => {
  await runAs(t, makeUser(t), 'hoard')
})
