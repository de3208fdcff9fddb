/** Podling as an ordinary user: the programs of rootless/, each run by a user that is made for it. */
import t from 'tap'
import { makeUser, openFuse, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

t.test('life of a container', needs('root', 'busybox', 'uidmap'), async (t) => {
  await runAs(t, makeUser(t), 'life')
})

t.test('every verb, without a cgroup', needs('root', 'busybox', 'uidmap'), async (t) => {
  await runAs(t, makeUser(t), 'verbs')
})

t.test('volumes', needs('root', 'busybox', 'uidmap', 'gocryptfs'), async (t) => {
  await runAs(t, makeUser(t), 'volumes', { prepare: openFuse })
})

t.test('hosts that are killed', needs('root', 'busybox', 'uidmap'), async (t) => {
  await runAs(t, makeUser(t), 'deaths')
})
