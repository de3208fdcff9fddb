import t from 'tap'
import { JsonEntryReader } from '../../../lib/container/log/json-entry.js'

const read = (text: string) => new JsonEntryReader().read(Buffer.from(text))

t.test('an entry as Docker writes it', async (t) => {
  const time = '2026-11-24T14:21:39.1234567Z'
  const line = read(`{"log":"a\\u003cb\\u2028 \\"\\n","stream":"stderr","attrs":{"tag":"x"},"time":"${time}"}`)
  t.match(line, { stream: 'stderr', partial: false, timestamp: time, time: new Date(time) })
  t.equal(line?.content.toString(), 'a<b\u2028 "')
  t.match(read(`{"log":"piece","stream":"stdout","time":"${time}"}`), { partial: true })
  t.match(read(`{"log":"\\n","stream":"stdout","time":"${time}"}`), { partial: false })
})

t.test('passes over what is no entry', async (t) => {
  const time = '"time":"2026-11-24T14:21:39Z"'
  for (const text of [
    ...['', 'null', '7', '{', '[]', '{}', `{"log":1,"stream":"stdout",${time}}`],
    ...[`{"log":"a","stream":"x",${time}}`, '{"log":"a","stream":"stdout","time":"yesterday"}'],
  ]) {
    t.equal(read(text), undefined, text)
  }
})
