/** A container that the kernel doesn't let die, as it waits for a file server that doesn't answer. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { testRuntime } from '../fixtures/runtime.js'
import { watchScreen } from '../fixtures/screen.js'

t.test('stop() and remove() tell of it, and it is gone when the server is', async (t) => {
  const directory = await temporaryDirectory(t)
  const mount = `${directory}/mute`
  await mkdir(mount)
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-o', `${directory}/server`, 'spec/fixtures/mute-fuse.c'])
  const server = spawn(`${directory}/server`, [mount], { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = once(server, 'exit')
  t.teardown(async () => {
    server.kill('SIGKILL')
    await gone
    execFileSync('umount', ['-l', mount])
  })
  const said = watchScreen(server.stdout)
  await said.sees(/mounted/)
  await using test = await testRuntime()
  const container = await test.runtime.run({
    image: 'busybox:test',
    network: 'none',
    volumes: [`${mount}:/mute`],
    command: ['cat', '/mute/file'],
  })
  await said.sees(/asked/)
  const truth = { code: 'STILL_RUNNING', message: /SIGKILL was sent.* is in state D .*\/stack/ }
  await Promise.all([
    t.rejects(container.stop({ timeout: 0 }), truth),
    t.rejects(container.remove({ force: true }), truth),
  ])
  t.equal(container.status, 'stopping')
  t.ok(await test.runtime.containers.get(container.id), 'it is there still')
  // What waits for an answer is told that there will be none.
  server.kill('SIGKILL')
  t.match(await container.wait(), { signal: 'SIGKILL', stoppedByUser: true })
  await container.remove()
  t.strictSame(await test.runtime.containers.list(), [])
})
