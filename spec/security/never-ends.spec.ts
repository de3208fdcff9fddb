/** Containers that don't want to end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const scripts = [
  'sleep 1000 & p=$!; echo up; kill -STOP $p; wait',
  'trap "" 1 2 3 10 12 13 14 15; echo up; while :; do sleep 1; done',
  'trap "" 1 2 3 15; setsid sh -c \'trap "" 1 2 3 15; while :; do sleep 1; done\' & echo up; wait',
]

t.test('a plain process that is asked to end', async (t) => {
  const child = spawn('busybox', ['sh', '-c', scripts[1]!], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  child.kill('SIGSTOP')
  child.kill('SIGHUP')
  t.equal(process.kill(child.pid!, 0), true, 'it is there')
  child.kill('SIGKILL')
})

t.test('Podling', async (t) => {
  for (const script of scripts) {
    const container = await lab.runtime.run({ image: lab.image, command: ['sh', '-c', script], network: 'none' })
    for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
    await container.kill('SIGSTOP')
    await container.remove({ force: true })
    t.equal(container.status, 'removed')
  }
})
