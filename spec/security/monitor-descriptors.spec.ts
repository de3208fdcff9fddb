/** A container's open files are its own: its monitor keeps on logging and serving however many it holds of the log's pipe. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { Container } from 'podling'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)

/** Once it holds all it may. */
async function hoarder(): Promise<Container> {
  const container = await lab.runtime.run({
    image: lab.image,
    command: ['attack', 'descriptors', '/dev/stdout'],
    ulimits: { nofile: 20_000 },
    network: 'none',
  })
  for await (const { text } of container.logs({ follow: true })) {
    t.match(text, /^ok 19\d\d\d EMFILE$/)
    break
  }
  return container
}

function monitorOf(container: Container): string {
  return /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${String(container.pid)}/status`, 'utf8'))?.[1] ?? ''
}

t.test('a monitor that has no descriptors left', async (t) => {
  await using container = await hoarder()
  const monitor = monitorOf(container)
  const held = readdirSync(`/proc/${monitor}/fd`).length
  execFileSync('prlimit', ['--pid', monitor, `--nofile=${String(held)}:`])
  await t.rejects(container.exec(['echo', 'served']), { code: 'LIMIT_REACHED', message: /no more files; wait for/ })
  execFileSync('prlimit', ['--pid', monitor, '--nofile=1024:'])
  t.equal((await container.exec(['echo', 'served'])).stdout, 'served\n', 'and its container lives')
})

t.test('Podling', async (t) => {
  await using container = await hoarder()
  t.ok(readdirSync(`/proc/${monitorOf(container)}/fd`).length < 50, 'the monitor holds few')
  t.equal((await container.exec(['echo', 'served'])).stdout, 'served\n')
  await container.exec(['sh', '-c', 'echo logged >/proc/1/fd/1'])
  for await (const { text } of container.logs({ follow: true })) if (text === 'logged') break
  const many = await Promise.all(Array.from({ length: 40 }, () => container.exec(['echo', 'served'])))
  t.ok(many.every(({ stdout }) => stdout === 'served\n'))
})
