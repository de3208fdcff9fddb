/** A container that takes all instances of inotify(7) that its user may have, which are its host's too. */
import { execFileSync } from 'node:child_process'
import { readFileSync, watch } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Runtime, type RuntimeEvent } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const home = process.env['HOME'] ?? ''
const attack = join(home, 'attack')
const source = fileURLToPath(new URL('../../../../spec/fixtures/attack.c', import.meta.url))
execFileSync('cc', ['-static', '-O1', '-o', attack, source])
const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const program = { name: 'bin/attack', mode: 0o755, content: readFileSync(attack) }
const image = await runtime.images.import(await busyboxRootfs({ add: [program] }), { ref: 'hoard:test' })

t.test('whoever listens by inotify is deaf, and Podling is not', async (t) => {
  await using hoarder = await runtime.containers.create({ image, command: ['attack', 'watchers'], network: 'none' })
  // Not by its log: who has begun to listen, goes on.
  const attached = await hoarder.attach()
  await hoarder.start()
  for await (const chunk of attached.stdout) {
    t.match(String(chunk), /^ok \d+ EMFILE$/m)
    break
  }
  t.throws(() => watch(home), { code: 'EMFILE' }, 'others are deaf')
  const events: RuntimeEvent[] = []
  const listening = (async () => {
    for await (const event of runtime.events({ since: new Date() })) {
      events.push(event)
      if (event.action === 'died') return
    }
  })()
  await using other = await runtime.run({
    image,
    command: ['sh', '-c', 'echo ready; read word; echo $word'],
    network: 'none',
    stdin: true,
    ready: { log: /ready/ },
  })
  const { stdin } = await other.attach()
  const lines: string[] = []
  for await (const { text } of other.logs({ follow: true })) {
    lines.push(text)
    if (text === 'ready') stdin.end('later\n')
  }
  t.strictSame(lines, ['ready', 'later'], 'follows a log')
  await listening
  t.equal(events.at(-1)?.id, other.id, 'hears of events')
  t.throws(() => watch(home), { code: 'EMFILE' }, 'all the while')
})
