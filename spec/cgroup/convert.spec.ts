import t from 'tap'
import { cpuWeight, hugepageName, ioWeight, swapAlone } from '../../lib/cgroup/convert.js'

t.test('shares become weights along the curve through (2, 1), (1024, 100) and (262144, 10000)', async (t) => {
  for (const [shares, weight] of [
    [1, 1],
    [2, 1],
    [1024, 100],
    [262144, 10000],
    [300000, 10000],
  ] as const) {
    t.equal(cpuWeight(shares), weight, String(shares))
  }
  let last = 0
  for (let shares = 2; shares <= 262144; shares = Math.ceil(shares * 1.3)) {
    t.ok(cpuWeight(shares) >= last && cpuWeight(shares) <= 10000, `monotonic and in range at ${String(shares)}`)
    last = cpuWeight(shares)
  }
})

t.test('block I/O weights', async (t) => {
  t.equal(ioWeight(10), 1)
  t.equal(ioWeight(1000), 10000)
  t.equal(ioWeight(5), 1)
})

t.test('memory and swap together become swap alone', async (t) => {
  t.equal(swapAlone(100, undefined), undefined)
  t.equal(swapAlone(100, 0), undefined)
  t.equal(swapAlone(100, 100), 0, 'no swap at all')
  t.equal(swapAlone(100, 250), 150)
  t.equal(swapAlone(100, -1), -1)
  t.equal(swapAlone(undefined, -1), -1)
  t.throws(() => swapAlone(100, 99), { code: 'INVALID_OPTION', message: /at least memory\.limit \(100\).*got 99/ })
  t.throws(() => swapAlone(undefined, 99), { code: 'INVALID_OPTION', message: /memory\.limit has to be given/ })
  t.throws(() => swapAlone(-1, 99), { code: 'INVALID_OPTION' })
})

t.test('names of huge page sizes', async (t) => {
  t.equal(hugepageName('hugepages-64kB'), '64KB')
  t.equal(hugepageName('hugepages-2048kB'), '2MB')
  t.equal(hugepageName('hugepages-1048576kB'), '1GB')
  t.equal(hugepageName('hugepages-16777216kB'), '16GB')
  t.equal(hugepageName('other'), undefined)
})
