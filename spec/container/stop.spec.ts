import t from 'tap'
import { takesSignal } from '../../lib/container/stop.js'

const status = (masks: { blocked?: bigint; caught?: bigint; pids?: string }) =>
  `Name:\tx\nNSpid:\t${masks.pids ?? '4711\t1'}\nSigBlk:\t${(masks.blocked ?? 0n).toString(16).padStart(16, '0')}\nSigIgn:\t0000000000000000\nSigCgt:\t${(masks.caught ?? 0n).toString(16).padStart(16, '0')}\n`
const TERM = 1n << 14n
const call = 'running\n'

t.test('a signal reaches pid 1 when it has a handler, keeps it blocked or waits for it', (t) => {
  t.equal(takesSignal(status({}), call, 15), false, 'the kernel drops it')
  t.equal(takesSignal(status({ caught: TERM }), call, 15), true)
  t.equal(takesSignal(status({ blocked: TERM }), call, 15), true)
  t.equal(takesSignal(status({ caught: TERM }), call, 10), false, 'another signal')
  t.equal(
    takesSignal(status({}), `${process.arch === 'arm64' ? '137' : '128'} 0x7ffc 0x0\n`, 15),
    true,
    'in sigwaitinfo(2)',
  )
  t.equal(takesSignal(status({ pids: '4711' }), call, 15), true, 'no pid 1: signals work as everywhere')
  t.equal(takesSignal(status({ caught: 1n << 63n }), call, 64), true)
  t.end()
})
