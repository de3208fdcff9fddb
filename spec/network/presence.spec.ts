import { join } from 'node:path'
import t from 'tap'
import { Presence } from '../../lib/network/presence.js'

t.test('the last one that leaves is alone, and nobody before', async (t) => {
  const path = join(t.testdir(), 'lock')
  const presences = [new Presence(path), new Presence(path), new Presence(path)]
  await Promise.all(presences.map((one) => one.enter()))
  const alone: number[] = []
  for (const [index, one] of presences.entries()) {
    one.leave()
    await one.whenNobody(() => Promise.resolve(void alone.push(index)))
  }
  t.strictSame(alone, [2])
})

t.test('who asks takes nothing from those that are there', async (t) => {
  const path = join(t.testdir(), 'lock')
  const [stays, asks, cleans] = [new Presence(path), new Presence(path), new Presence(path)]
  await stays.enter()
  const work = (): Promise<void> => Promise.reject(new Error('nobody is alone'))
  await Promise.all([asks.whenNobody(work), cleans.whenNobody(work)])
  stays.leave()
  let entered = false
  await cleans.whenNobody(async () => {
    void asks.enter().then(() => (entered = true))
    await new Promise((resolve) => setImmediate(resolve))
    t.notOk(entered, 'who comes in meanwhile waits')
  })
  await asks.enter()
  asks.leave()
})
