import t from 'tap'
import { figure, markdown, median, percentile } from './table.js'

t.test('percentiles by nearest rank', async (t) => {
  const samples = [5, 1, 4, 2, 3]
  t.equal(median(samples), 3)
  t.equal(percentile(samples, 0.95), 5)
  t.equal(percentile([7], 0.95), 7)
  t.strictSame(samples, [5, 1, 4, 2, 3], 'the samples stay in their order')
  t.ok(Number.isNaN(median([])))
})

t.test('figures', async (t) => {
  t.strictSame([1.234, 12.34, 123.4, 0, NaN].map(figure), ['1.23', '12.3', '123', '0.00', ''])
})

t.test('the table', async (t) => {
  const floor = [1, 2, 3]
  t.equal(
    markdown([
      { trial: 'start', subject: 'floor', unit: 'ms', samples: floor },
      { trial: 'start', subject: 'peer', unit: 'ms', samples: [5, 5], floor, aim: 'soon' },
    ]),
    [
      '| trial | subject | runs |  p50 |  p95 | unit | × floor | aim  |',
      '| ----- | ------- | ---: | ---: | ---: | ---- | ------: | ---- |',
      '| start | floor   |    3 | 2.00 | 3.00 | ms   |         |      |',
      '| start | peer    |    2 | 5.00 | 5.00 | ms   |    2.50 | soon |',
    ].join('\n'),
  )
})
