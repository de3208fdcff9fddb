/** An ordinary user to whom a cgroup was delegated. Limits can be tested where the machine has cgroup v2 alone. */
import t from 'tap'
import { delegate } from '../fixtures/delegate.js'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

t.test('what needs a cgroup', needs('root', 'busybox', 'uidmap'), async (t) => {
  const user = makeUser(t)
  const { mode, directory, enter } = delegate(t, user)
  await runAs(t, user, 'delegated', { environment: { DELEGATED: directory, MODE: mode }, prepare: enter })
})
