/** A restart that doesn't come to its command: it ends as Podman has it, and leaves nothing. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import type { DriverName } from 'podling'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

/** By driver, the network that it is tried on. */
const cases: Partial<Record<DriverName, string>> = { overlay: 'none', erofs: 'slirp4netns', 'fuse-overlayfs': 'bridge' }

// What others mount meanwhile is not to be counted.
if (inOwnNetwork(import.meta.url, { mounts: true })) {
  for (const [storageDriver, network] of Object.entries(cases) as [DriverName, string][]) {
    const peers = needs('root', 'busybox', 'fuse-overlayfs', 'slirp4netns')
    t.test(`${storageDriver}, ${network}: the command has vanished from its volume`, peers, async (t) => {
      await using setup = await testRuntime({ storageDriver })
      const { runtime, image } = setup
      const mounts = async (): Promise<number> => (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').length
      const before = await mounts()
      const program = '#!/bin/sh\nrm /v/program\nexit 3\n'
      await using maker = await runtime.run({
        image,
        network: 'none',
        volumes: ['v:/v'],
        command: ['sh', '-c', `printf '%s' "$0" > /v/program; chmod 755 /v/program`, program],
      })
      await maker.wait()
      await using container = await runtime.containers.create({
        image,
        network,
        volumes: ['v:/v'],
        command: ['/v/program'],
        restart: 'on-failure:2',
      })
      const told: (number | undefined)[] = []
      // It ends as soon as it has begun: who wants to hear of that listens before.
      container.on('restarting', ({ exitCode }) => told.push(exitCode))
      await container.start()
      const exit = await container.wait()
      t.match(exit, { exitCode: 127, restartCount: 2, startError: { code: 'COMMAND_NOT_FOUND' } })
      t.strictSame(told, [3, 127], 'its own end, then that of the first restart')
      t.equal(container.status, 'exited')
      t.equal(await mounts(), before)
      await t.rejects(container.start(), { code: 'COMMAND_NOT_FOUND' })
    })
  }
}
