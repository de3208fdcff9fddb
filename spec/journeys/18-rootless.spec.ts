/** Podling as an ordinary user: the programs of rootless/, each run by a user that is made for it. */
import t from 'tap'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'

t.test('life of a container', async (t) => {
  await runAs(t, makeUser(t), 'life')
})
