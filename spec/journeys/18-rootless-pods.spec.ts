/** Pods of an ordinary user. */
import t from 'tap'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

t.test('with a user namespace', needs('root', 'busybox', 'uidmap'), async (t) => {
  const user = makeUser(t)
  await runAs(t, user, 'pod-users', { environment: { NAME: user.name } })
})
