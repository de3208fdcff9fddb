import t from 'tap'
import { parseDuration, parseSize } from '../../lib/schema/quantities.js'

t.test('sizes', (t) => {
  const right: (readonly [number | string, number])[] = [
    ...([
      [0, 0],
      [1024, 1024],
      ['0', 0],
      ['10', 10],
      ['512m', 512 * 2 ** 20],
      ['1.5g', 1.5 * 2 ** 30],
    ] as const),
    ...([
      ['1KiB', 1024],
      ['1kb', 1024],
      ['2 MB', 2 ** 21],
      ['3T', 3 * 2 ** 40],
      ['.5k', 512],
      ['7b', 7],
    ] as const),
  ]
  for (const [size, bytes] of right) t.equal(parseSize(size), bytes, String(size))
  for (const wrong of [-1, 1.5, NaN, Infinity, '', 'm', '1x', '-5m', '5 m m', '1e9', '99999999t', null, {}]) {
    t.equal(parseSize(wrong), undefined, JSON.stringify(wrong))
  }
  t.end()
})

t.test('durations', (t) => {
  const right: (readonly [number | string, number])[] = [
    ...([
      [0, 0],
      [250, 250],
      [0.5, 0.5],
      ['0', 0],
      ['10s', 10_000],
      ['250ms', 250],
      ['1m30s', 90_000],
    ] as const),
    ...([
      ['1.5h', 5_400_000],
      ['2h5m', 7_500_000],
    ] as const),
  ]
  for (const [duration, milliseconds] of right) t.equal(parseDuration(duration), milliseconds, String(duration))
  for (const wrong of [-1, NaN, Infinity, '', '10', 's', '5 s', '-5s', '1s2', 'soon', null]) {
    t.equal(parseDuration(wrong), undefined, JSON.stringify(wrong))
  }
  t.end()
})
