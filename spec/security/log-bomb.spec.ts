/** Output without end, and a line without end: the host's memory stays as it is, whoever reads. */
import { spawn } from 'node:child_process'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const bytes = 80_000_000
const flood = ['head', '-c', String(bytes), '/dev/zero']
const lines = ['sh', '-c', `yes ${'0123456789'.repeat(100)} | head -c ${String(bytes)}`]
const growth = (before: number) => process.memoryUsage().rss - before

t.test('a reader that keeps what comes', async (t) => {
  const before = process.memoryUsage().rss
  const child = spawn('busybox', flood, { stdio: ['ignore', 'pipe', 'inherit'] })
  const kept: Buffer[] = []
  for await (const chunk of child.stdout) kept.push(chunk as Buffer)
  t.ok(growth(before) > bytes / 2, `it grows by ${String(growth(before))}`)
  t.equal(
    kept.reduce((sum, chunk) => sum + chunk.length, 0),
    bytes,
  )
})

for (const [what, command] of Object.entries({ 'a line without end': flood, 'lines without end': lines })) {
  t.test(`Podling: ${what}`, async (t) => {
    global.gc?.()
    const before = process.memoryUsage().rss
    await using container = await lab.runtime.run({ image: lab.image, command, network: 'none' })
    await container.wait()
    t.ok(growth(before) < bytes / 2, `unread: ${String(growth(before))}`)
    let length = 0
    let longest = 0
    for await (const { text } of container.logs()) {
      length += text.length
      longest = Math.max(longest, text.length)
    }
    t.ok(length > bytes * 0.9, 'all of it is there')
    t.ok(longest <= 2 * 1024 * 1024, 'in pieces that fit')
    t.ok(growth(before) < bytes, `read: ${String(growth(before))}`)
    await t.rejects(container.exec(flood), { code: /OUTPUT_TOO_LARGE|INVALID_STATE/ })
  })
}
