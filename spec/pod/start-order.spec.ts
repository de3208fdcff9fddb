import t from 'tap'
import type { ContainerRecord } from '../../lib/container/record.js'
import { inOrder, reversed, startOrder } from '../../lib/pod/start-order.js'

/** `a: 'b c'`: a depends on b and c. Ids are the names with an `id-` in front. */
function members(dependencies: Readonly<Record<string, string>>): ContainerRecord[] {
  return Object.entries(dependencies).map(([name, others]) => {
    const dependsOn = others.split(' ').filter(Boolean).map((container) => ({ container, condition: 'started' })) // prettier-ignore
    return { id: `id-${name}`, name, pod: { id: 'pod', share: [], dependsOn } } as unknown as ContainerRecord
  })
}

t.test('each after what it depends on, and beside all others', async (t) => {
  const order = startOrder('pod', members({ web: 'app', app: 'db cache', db: '', cache: 'db', other: '' }))
  const begun: string[] = []
  const waiting: (() => void)[] = []
  const all = inOrder(order, async (id) => {
    begun.push(id)
    await new Promise<void>((done) => waiting.push(done))
  })
  const round = async (): Promise<string[]> => {
    for (const done of waiting.splice(0)) done()
    await new Promise((done) => setImmediate(done))
    return begun.splice(0).sort()
  }
  const rounds = [await round(), await round(), await round(), await round()]
  t.strictSame(rounds, [['id-db', 'id-other'], ['id-cache'], ['id-app'], ['id-web']])
  await round()
  await all
})

t.test('what fails keeps back those that need it, and nobody else', async (t) => {
  const order = startOrder('pod', members({ web: 'app', app: '', other: '' }))
  const begun: string[] = []
  const results = await inOrder(order, async (id) => {
    begun.push(id)
    if (id === 'id-app') throw new Error('broken')
  })
  t.strictSame(begun.sort(), ['id-app', 'id-other'])
  t.match(
    results.map((one) => (one.status === 'rejected' ? String(one.reason) : 'fine')),
    ['Error: broken', 'Error: broken', 'fine'],
  )
})

t.test('the other way round', async (t) => {
  const order = reversed(startOrder('pod', members({ web: 'db', app: 'db', db: '' })))
  t.strictSame(
    order.get('id-db')?.map(({ id }) => id),
    ['id-web', 'id-app'],
  )
  t.strictSame(order.get('id-web'), [])
})

t.test('circles are told with their way round, and unknown names', async (t) => {
  const circle = members({ a: 'b', b: 'c', c: 'b', d: '' })
  t.throws(() => startOrder('pod', circle), { code: 'DEPENDENCY_CYCLE', message: /each other: b → c → b$/ })
  t.throws(() => startOrder('pod', members({ a: 'a' })), { code: 'DEPENDENCY_CYCLE', message: /a → a$/ })
  t.throws(() => startOrder('p', members({ a: 'x' })), {
    code: 'CONTAINER_NOT_FOUND',
    message: 'start container a: it depends on x, which is no container of pod p',
  })
})
