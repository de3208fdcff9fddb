/**
 * /etc/hosts, /etc/resolv.conf and /etc/hostname are written by the host, and by the container: it must not fill with them what
 * the host keeps in memory for all containers, without which none starts any more.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const files = ['/etc/hosts', '/etc/resolv.conf', '/etc/hostname']
const fill = files.map((file) => `head -c 12000000 /dev/zero >${file}`).join('; ')
const free = (path: string): number => statfsSync(path).bavail

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test('a run directory of 16 MiB', needs('root', 'busybox'), async (t) => {
    const runRoot = await temporaryDirectory(t, 'podling-run-')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=700', 'tmpfs', runRoot])
    t.teardown(() => execFileSync('umount', [runRoot]))

    await t.test('with the files in it', async (t) => {
      const lab = await attackLab(t)
      const directory = join(runRoot, 'files')
      mkdirSync(directory)
      const volumes = files.map((file, index) => {
        writeFileSync(join(directory, String(index)), '')
        return `${join(directory, String(index))}:${file}`
      })
      await lab.weak({ command: ['sh', '-c', fill], volumes }, {})
      t.equal(free(runRoot), 0, 'it is full')
      t.throws(
        () => {
          writeFileSync(join(runRoot, 'next'), 'x'.repeat(8192))
        },
        { code: 'ENOSPC' },
      )
      execFileSync('rm', ['-r', directory])
    })

    await t.test('Podling', async (t) => {
      await using setup = await testRuntime({ runRoot: join(runRoot, 'podling') })
      const common = { image: setup.image, network: 'none' }
      await using container = await setup.runtime.run({ ...common, command: ['sleep', '1000'] })
      const before = free(runRoot)
      t.equal((await container.exec(['sh', '-c', fill])).exitCode, 0, 'it may write them')
      t.equal(statSync(join(setup.root, 'containers', container.id, 'hosts')).size, 12_000_000, 'where its root is')
      t.ok(free(runRoot) > before - 64, 'not in the run directory')
      await using another = await setup.runtime.run({ ...common, command: ['true'] })
      t.equal((await another.wait()).exitCode, 0, 'others start')
      await using bare = await setup.runtime.run({ ...common, readOnly: true, command: ['sh', '-c', fill] })
      t.not((await bare.wait()).exitCode, 0, 'with a read-only root it may not even do that')
    })
  })
}
