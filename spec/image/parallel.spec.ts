import t from 'tap'
import { Arrivals } from '../../lib/image/arrivals.js'
import { forEachParallel } from '../../lib/image/parallel.js'

const never = (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('ended'))
    })
  })

t.test('at most so many at a time, in order', async (t) => {
  const started: number[] = []
  let [running, most] = [0, 0]
  await forEachParallel([1, 2, 3, 4, 5, 6, 7], 3, undefined, async (item) => {
    started.push(item)
    running += 1
    most = Math.max(most, running)
    await new Promise((resolve) => setImmediate(resolve))
    running -= 1
  })
  t.same(started, [1, 2, 3, 4, 5, 6, 7])
  t.equal(most, 3)
  await forEachParallel([], 3, undefined, () => Promise.reject(new Error('nothing to do')))
})

t.test('the first failure ends the others and is the one that is thrown', async (t) => {
  const ended: number[] = []
  const work = async (item: number, signal: AbortSignal): Promise<void> => {
    if (item === 2) throw new Error('two')
    await never(signal).catch((error: unknown) => {
      ended.push(item)
      throw error
    })
  }
  await t.rejects(forEachParallel([1, 2, 3, 4], 3, undefined, work), { message: 'two' })
  t.same(ended, [1, 3], 'all have ended, and the fourth never began')
})

t.test("the caller's own cancel", async (t) => {
  const controller = new AbortController()
  const working = forEachParallel([1, 2], 2, controller.signal, (_, signal) => never(signal))
  controller.abort()
  await t.rejects(working, { message: 'ended' })
})

t.test('arrivals', async (t) => {
  const arrivals = new Arrivals(['a', 'b'])
  arrivals.arrive('a')
  arrivals.fail(new Error('the line is dead'))
  await arrivals.wait('a')
  await t.rejects(arrivals.wait('b'), { message: 'the line is dead' })
  await t.rejects(arrivals.wait('c'), /c is not on its way/)
})
