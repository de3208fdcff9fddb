/** Abstract sockets belong to a network namespace, not to a file system: on the host's network its services are in reach. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const name = `podling-spec-${String(process.pid)}`
const server = spawn(lab.attack, ['abstract-serve', name], { stdio: ['ignore', 'pipe', 'inherit'] })
t.teardown(() => server.kill('SIGKILL'))
await once(server.stdout, 'data')
const command = ['attack', 'abstract', name]

t.test('on the host’s network', async (t) => {
  t.strictSame((await lab.weak({ command, network: 'host' }, {})).lines, ['ok 0'])
})

t.test('Podling', async (t) => {
  t.strictSame((await lab.strong({ command })).lines, ['ECONNREFUSED'])
})
