/** A container that the kernel doesn't let die, as it waits for a file server that doesn't answer. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Runtime } from 'podling'
import t, { type Test } from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { testRuntime } from '../fixtures/runtime.js'
import { watchScreen } from '../fixtures/screen.js'

const hostProgram = fileURLToPath(new URL('../fixtures/host-program.js', import.meta.url))

/** A mounted file system whose file `file` is read for ever. */
async function muteServer(
  t: Test,
): Promise<{ mount: string; asked: () => Promise<unknown>; answerNoMore: () => void }> {
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
  return { mount, asked: () => said.sees(/asked/), answerNoMore: () => server.kill('SIGKILL') }
}

t.test('stop() and remove() tell of it, and it is gone when the server is', async (t) => {
  const { mount, asked, answerNoMore } = await muteServer(t)
  await using test = await testRuntime()
  const container = await test.runtime.run({
    image: 'busybox:test',
    network: 'none',
    volumes: [`${mount}:/mute`],
    command: ['cat', '/mute/file'],
  })
  await asked()
  const truth = { code: 'STILL_RUNNING', message: /SIGKILL was sent.* is in state D .*\/stack/ }
  await Promise.all([
    t.rejects(container.stop({ timeout: 0 }), truth),
    t.rejects(container.remove({ force: true }), truth),
  ])
  t.equal(container.status, 'stopping')
  t.ok(await test.runtime.containers.get(container.id), 'it is there still')
  // What waits for an answer is told that there will be none.
  answerNoMore()
  t.match(await container.wait(), { signal: 'SIGKILL', stoppedByUser: true })
  await container.remove()
  t.strictSame(await test.runtime.containers.list(), [])
})

t.test('its host is killed: the root can be opened all the same, and tells of it', async (t) => {
  const { mount, asked, answerNoMore } = await muteServer(t)
  const setup = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const { root } = setup
  await setup.runtime.close()
  const host = spawn(process.execPath, [hostProgram, root, 'stuck', mount], { stdio: ['ignore', 'pipe', 'inherit'] })
  const hostEnded = once(host, 'exit')
  const told = watchScreen(host.stdout)
  await told.sees(/running/)
  await asked()
  host.kill('SIGKILL')
  await hostEnded
  {
    await using next = await Runtime.open({ root })
    t.strictSame(next.recovered.containers, [])
    t.match(next.recovered.failures, [{ code: 'STILL_RUNNING', message: /SIGKILL was sent|did not end/ }])
    t.match(await next.containers.list(), [{ name: 'stuck' }])
    t.equal(
      (await next.run({ image: 'busybox:test', network: 'none', command: ['true'] }).then((c) => c.wait())).exitCode,
      0,
    )
  }
  answerNoMore()
  await using last = await Runtime.open({ root })
  t.match(last.recovered, { containers: [{ name: 'stuck' }], failures: [] })
  t.strictSame(await last.containers.list(), [])
})
