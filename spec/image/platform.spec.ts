import t from 'tap'
import {
  formatPlatform,
  hostPlatform,
  normalizePlatform,
  parsePlatform,
  platformFit,
  selectPlatform,
} from '../../lib/image/platform.js'
import { rejectsWith } from '../fixtures/errors.js'

t.test('one spelling each', (t) => {
  for (const [text, same] of [
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['Linux/AMD64', 'linux/amd64'],
    ['linux/riscv64', 'linux/riscv64'],
  ] as const) {
    t.equal(formatPlatform(parsePlatform(text)), same)
  }
  t.equal(hostPlatform().os, 'linux')
  t.same(normalizePlatform({ os: 'linux', architecture: 'constructor' }), { os: 'linux', architecture: 'constructor' })
  t.end()
})

t.test('what is no platform', async (t) => {
  for (const text of ['', 'linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'linux/a b']) {
    await rejectsWith(t, () => parsePlatform(text), 'INVALID_OPTION', /linux\/arm64/)
  }
})

t.test('what runs where', (t) => {
  const fit = (wanted: string, offered: string): number => platformFit(parsePlatform(wanted), parsePlatform(offered))
  t.equal(fit('linux/amd64', 'linux/arm64'), 0)
  t.equal(fit('linux/amd64', 'windows/amd64'), 0)
  t.equal(fit('linux/amd64', 'linux/amd64/v3'), 0, 'may need instructions that the CPU lacks')
  t.ok(fit('linux/amd64/v3', 'linux/amd64') > 0)
  t.ok(fit('linux/arm/v7', 'linux/arm/v6') > 0)
  t.ok(fit('linux/arm/v7', 'linux/arm/v7') > fit('linux/arm/v7', 'linux/arm/v6'))
  t.ok(fit('linux/arm/v7', 'linux/arm/v6') > fit('linux/arm/v7', 'linux/arm/v5'))
  t.equal(fit('linux/arm/v6', 'linux/arm/v7'), 0)
  t.end()
})

t.test('the choice from an index', async (t) => {
  const entry = (text: string): { text: string; platform: ReturnType<typeof parsePlatform> } => ({
    text,
    platform: parsePlatform(text),
  })
  const offered = [
    entry('linux/arm/v6'),
    entry('linux/arm/v7'),
    entry('linux/amd64/v2'),
    entry('linux/amd64'),
    entry('unknown/unknown'),
  ]
  const choose = (text: string): string => selectPlatform(offered, parsePlatform(text), 'app:1').text
  t.equal(choose('linux/amd64'), 'linux/amd64')
  t.equal(choose('linux/amd64/v2'), 'linux/amd64/v2')
  t.equal(choose('linux/arm/v7'), 'linux/arm/v7')
  await rejectsWith(
    t,
    () => choose('linux/s390x'),
    'PLATFORM_NOT_FOUND',
    /^app:1 has no image for linux\/s390x; it has linux\/arm\/v6, linux\/arm\/v7, linux\/amd64\/v2, linux\/amd64$/,
  )
  await rejectsWith(
    t,
    () => selectPlatform([], parsePlatform('linux/amd64'), 'app'),
    'PLATFORM_NOT_FOUND',
    /none at all/,
  )
  const bare: { digest: string; platform?: ReturnType<typeof hostPlatform> } = { digest: 'x' }
  t.equal(selectPlatform([bare], parsePlatform('linux/amd64'), 'app'), bare, 'a single entry without a platform')
})
