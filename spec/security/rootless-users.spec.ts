/** Containers of one ordinary user, in user namespaces of their own. */
import t from 'tap'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

t.test('one against the others and their user', needs('root', 'busybox', 'uidmap'), async (t) => {
  await runAs(t, makeUser(t), 'users-apart')
})
