/**
 * A bind whose mounts are shared with the host (mount_namespaces(7)): what a container's root mounts there shows on the host, over
 * files of the host's. A container whose root is another user than the host's must not do that, even where it may mount.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Container } from 'podling'
import { temporaryDirectory } from '../fixtures/directory.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { subIdFiles } from '../fixtures/sub-ids.js'
import { needs } from '../peers.js'

const mounted = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')

/** A directory of the host whose mounts are shared, with a file that somebody would like to hide. */
async function sharedDirectory(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t, 'podling-shared-')
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', directory])
  t.teardown(() => execFileSync('umount', ['-R', directory]))
  execFileSync('mount', ['--make-shared', directory])
  for (const name of ['victim', 'later']) mkdirSync(join(directory, name), { mode: 0o755 })
  writeFileSync(join(directory, 'victim', 'file'), 'of the host')
  return directory
}

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test('mounts of a container on a shared bind', needs('root', 'busybox'), async (t) => {
    const subIds = await subIdFiles(t, 'containers:864500000:100000\n')
    const test = await testRuntime({ subIds })
    t.teardown(() => test[Symbol.asyncDispose]())
    const directory = await sharedDirectory(t)
    const victim = join(directory, 'victim')
    const start = (userns: 'host' | 'auto'): Promise<Container> =>
      test.runtime.run({
        image: test.image,
        network: 'none',
        userns,
        capAdd: ['SYS_ADMIN'],
        apparmor: 'unconfined',
        volumes: [`${directory}:/shared:shared`],
        command: ['sleep', '1000'],
      })
    const mountOver = (container: Container) => container.exec(['mount', '-t', 'tmpfs', 'evil', '/shared/victim'])

    await t.test("with the host's users", async (t) => {
      await using container = await start('host')
      t.equal((await mountOver(container)).exitCode, 0)
      t.ok(mounted().includes(victim), 'it shows on the host')
      await container.exec(['umount', '/shared/victim'])
      t.notOk(mounted().includes(victim))
    })

    await t.test('with users of its own', async (t) => {
      await using container = await start('auto')
      t.equal((await mountOver(container)).exitCode, 0, 'it may mount')
      t.equal((await container.exec(['ls', '/shared/victim'])).stdout, '', 'and sees it')
      t.notOk(mounted().includes(victim), 'alone')
      t.equal(readFileSync(join(victim, 'file'), 'utf8'), 'of the host')
      await container.exec(['mount', '--make-shared', '/shared'])
      await container.exec(['mount', '-t', 'tmpfs', 'evil', '/shared/later'])
      t.notOk(mounted().includes(join(directory, 'later')), 'nor after it has made it shared again')
      await container.exec(['umount', '/shared/later'])
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', join(directory, 'later')])
      writeFileSync(join(directory, 'later', 'word'), 'from the host')
      t.equal(
        (await container.exec(['cat', '/shared/later/word'])).stdout,
        'from the host',
        'what the host mounts comes in',
      )
    })
  })
}
