import t from 'tap'
import { signalNumber } from '../../lib/container/signals.js'
import { signalName } from '../../lib/sys/signal-name.js'

t.test('names and numbers', async (t) => {
  for (const [given, number] of [
    ['SIGTERM', 15],
    ['term', 15],
    [9, 9],
    ['9', 9],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMAX-14', 50],
    ['SIGRTMAX', 64],
  ] as const) {
    t.equal(signalNumber(given), number, String(given))
  }
  t.equal(signalName(9), 'SIGKILL')
  t.equal(signalName(6), 'SIGABRT')
  t.equal(signalName(40), 'SIG40')
})

t.test('what is no signal', async (t) => {
  for (const given of ['', 'SIGNOT', 0, 65, -1, 1.5, 'SIGRTMAX+1', 'SIGRTMIN-1', '__proto__', 'toString']) {
    t.throws(() => signalNumber(given), { code: 'INVALID_OPTION', message: /signal/ }, String(given))
  }
})
