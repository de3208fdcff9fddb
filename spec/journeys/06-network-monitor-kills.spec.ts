/**
 * Monitors, and containers in the making, that are killed in place of any of their messages to the kernel: the host is
 * told, and nothing is left of it.
 */
import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { PodlingError } from 'podling'
import { killedAt, networkSnapshot } from '../fixtures/killed-at.js'
import { descendants, within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const tools = needs('root', 'busybox', 'iproute2', 'nftables', 'strace')

if (inOwnNetwork(import.meta.url)) {
  t.test('a monitor or a container in the making that is killed', tools, async (t) => {
    await using setup = await testRuntime()
    const { runtime, image } = setup
    await runtime.networks.create({ name: 'mine', subnets: ['10.210.0.0/24', 'fd00:210::/64'] })
    await runtime.networks.create({ name: 'other' })
    const options = {
      image,
      command: ['sleep', '1000'],
      network: ['podling', 'mine'],
      ports: ['8080:80', '5353:53/udp'],
    }
    const life = async (): Promise<void> => {
      await using container = await runtime.run(options)
      await runtime.networks.connect('other', container.id)
      await runtime.networks.disconnect('mine', container.id)
    }
    // Bridges and rules stay for as long as this runtime does.
    await life()
    const before = await within(
      10_000,
      () => Promise.resolve(networkSnapshot()),
      (seen) => !/pod[0-9a-f]{10}/.test(seen),
    )
    for (let send = 1; ; send++) {
      const pids = await launchers()
      const tracer = spawn('strace', ['-f', ...killedAt(send), ...pids.flatMap((pid) => ['-p', pid])], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const detached = once(tracer, 'close')
      // One line for each process, whether it has it or came too late.
      let told = ''
      tracer.stderr.setEncoding('utf8').on('data', (text: string) => (told += text))
      while (told.split('attach').length <= pids.length) await once(tracer.stderr, 'data')
      // The first may find a process that waited since before strace came; then there is none of those left.
      let error: Error | undefined
      for (let lives = 0; error === undefined && lives < 4; lives++) {
        error = await life().then(
          () => undefined,
          (caught: unknown) => caught as Error,
        )
      }
      tracer.kill('SIGTERM')
      await detached
      for (const left of await runtime.containers.list()) await left.remove({ force: true })
      if (error === undefined) {
        t.ok(send > 10, `it lived through ${String(send - 1)} messages`)
        break
      }
      t.type(error, PodlingError, String(error))
      const after = await within(
        20_000,
        () => Promise.resolve(networkSnapshot()),
        (seen) => seen === before,
      )
      if (!t.equal(after, before, `killed at message ${String(send)}: ${String(error)}`)) break
    }
  })
}

/** The launcher, and the processes that it has waiting to be monitors. */
async function launchers(): Promise<string[]> {
  const pids = (await descendants(process.pid)).map((one) => one.split('@')[0]!)
  return pids.filter((pid) => {
    try {
      return /^podling-(launch|slot)/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))
    } catch {
      return false
    }
  })
}
