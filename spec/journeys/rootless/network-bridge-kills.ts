/** Bridges of an ordinary user when something is killed: hosts, the keeper of the network namespace, pasta, responders. */
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { askTcp } from '../../fixtures/ask-port.js'
import { openRuntime, processesNamed, startOtherHost } from '../../fixtures/rootless-networks.js'

const { runtime, image } = await openRuntime()
const server = {
  image,
  command: ['answer', '80'],
  network: 'bridge',
  ready: { port: 80 },
} satisfies ContainerOptions
const client = { image, command: ['sleep', '1000'], network: 'bridge' } satisfies ContainerOptions
/** The sockets of ports are two processes' alone. */
const allButPorts = /^(podling-(net|attend|dns)|pasta)/
const all = /^(podling-(net|ports|forward|attend|dns)|pasta)/

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await delay(10)
}

t.test('hosts share it; a host that is killed takes only its own containers along', async (t) => {
  const host = await startOtherHost({ ...server, name: 'other', ports: ['8080:80'] })
  await using mine = await runtime.run(client)
  const other = async () => (await mine.exec(['sh', '-c', 'nc -w 5 other 80 </dev/null'])).stdout.trim()
  t.equal(await other(), '80', "another host's container is found by its name")
  t.equal(await askTcp('127.0.0.1', 8080), '80')
  await host.kill()
  await until(async () => (await askTcp('127.0.0.1', 8080)).startsWith('error'))
  await until(async () => (await other()) === '')
  t.match((await mine.exec(['nc', '-w', '20', '192.0.2.2', '7'])).stdout, /^192\.0\.2\.1 to /, 'ours goes on')
})

t.test('the keeper and pasta are begun again, in the same namespace', async (t) => {
  await using one = await runtime.run({ ...server, name: 'one', ports: ['8080:80'] })
  await using two = await runtime.run(client)
  const reach = async (...argv: string[]) =>
    (await two.exec(['sh', '-c', `nc -w 5 ${argv.join(' ')} </dev/null`])).stdout.trim()
  const kills = [
    /^podling-net$/,
    /^pasta/,
    /^podling-dns$/,
    /^podling-attend$/,
    /^podling-forward$/,
    /^podling-ports$/,
    allButPorts,
  ]
  for (const killed of kills) {
    kill(processesNamed(killed))
    await until(async () => (await reach('one', '80')) === '80')
    await until(async () => (await reach('192.0.2.2', '7')).startsWith('192.0.2.1 to'))
    await until(async () => (await askTcp('127.0.0.1', 8080)) === '80')
    t.pass(`ports are there, after ${killed.source}`)
    await using three = await runtime.run(client)
    t.equal(
      (await three.exec(['sh', '-c', 'nc -w 20 one 80 </dev/null'])).stdout.trim(),
      '80',
      'those who come are among the others',
    )
  }
  await one.remove({ force: true })
})

t.test('a detached container goes on without hosts, and so does its network', async (t) => {
  const host = await startOtherHost({ ...server, name: 'stays', ports: ['8080:80'], detach: true })
  await host.kill()
  t.equal(await askTcp('127.0.0.1', 8080), '80')
  // Nobody is there who would begin it again, until the next host needs it.
  kill(processesNamed(/^podling-net$/))
  t.equal(await askTcp('127.0.0.1', 8080), '80')
  await using mine = await runtime.run(client)
  t.equal((await mine.exec(['sh', '-c', 'nc -w 20 stays 80 </dev/null'])).stdout.trim(), '80')
  await mine.remove({ force: true })
  await (await runtime.containers.get('stays')).remove({ force: true })
  t.match(await askTcp('127.0.0.1', 8080), /^error/)
})

t.test('with the last host all of it goes', async (t) => {
  const host = await startOtherHost({ ...server, ports: ['8080:80'] })
  await runtime.close()
  t.equal(await askTcp('127.0.0.1', 8080), '80', 'not with the last but one')
  await host.kill()
  await until(() => processesNamed(all).length === 0)
  t.pass('its keeper, responders and pasta')
})

/** Some end with others before it is their turn. */
function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
