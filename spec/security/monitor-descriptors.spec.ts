/**
 * A container's open files are its own: its monitor keeps on logging and serving however many it holds of the log's pipe, and
 * whatever the commands that are brought in leave behind.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { Container } from 'podling'
import { attackLab, type WeakContainer } from '../fixtures/attack-lab.js'
import type { Edits } from '../fixtures/weak-helper.js'

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

/** Commands that are brought in, as health checks are, each of which leaves a process that holds its streams. */
const rounds = 60
const leaves = ['sh', '-c', 'sleep 1000 &']

/** A monitor that may have a few descriptors more than it has. */
async function frugal(helper: Edits = {}): Promise<WeakContainer> {
  const container = await lab.weakStart({ command: ['sleep', '1000'] }, { helper })
  const monitor =
    /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${String(container.monitor.pid)}/status`, 'utf8'))?.[1] ?? ''
  const most = readdirSync(`/proc/${monitor}/fd`).length + rounds / 2
  execFileSync('prlimit', ['--pid', monitor, `--nofile=${String(most)}:`])
  return container
}

async function bringIn({ exec, monitor }: WeakContainer): Promise<void> {
  try {
    for (let round = 0; round < rounds; round++) await exec(leaves)
  } finally {
    await monitor.kill(9)
  }
}

t.test('commands over and over, by a monitor that keeps something of each', async (t) => {
  const forgetful = { 'process.c': [['close_fd(&process->pidfd);\n  return true;', 'return true;']] } as const
  await t.rejects(bringIn(await frugal(forgetful)), { code: /LIMIT_REACHED|START_FAILED/ })
})

t.test('the same commands, and no protection less', async (t) => {
  await t.resolves(bringIn(await frugal()))
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
