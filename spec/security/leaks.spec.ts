/** What of the host could reach into a container: descriptors and directories (CVE-2024-21626), the helper (CVE-2019-5736), names. */
import { createHash } from 'node:crypto'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { findHelper } from '../../lib/launch/helper-path.js'
import { testRuntime } from '../fixtures/runtime.js'

process.env['PODLING_SPEC_LEAK'] = 'a secret of the host'
const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
// Descriptors of the host that a careless runtime would pass on.
for (let i = 0; i < 8; i++) openSync('/', 'r')

async function output(script: string): Promise<string[]> {
  await using container = await runtime.run({ image, network: 'none', command: ['sh', '-c', script] })
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines
}

t.test('only the standard descriptors, in the container and in an exec', async (t) => {
  t.strictSame(await output('ls /proc/self/fd'), ['0', '1', '2', '3'], 'and the one of ls itself')
  await using container = await runtime.run({ image, network: 'none', command: ['sleep', '1000'] })
  t.equal((await container.exec(['ls', '/proc/self/fd'])).stdout, '0\n1\n2\n3\n')
  t.equal((await container.exec(['ls', '/proc/1/fd'])).stdout, '0\n1\n2\n')
})

t.test('no working directory of the host', async (t) => {
  for (let fd = 3; fd < 20; fd++) {
    for (const workdir of [`/proc/self/fd/${String(fd)}`, `/proc/self/fd/${String(fd)}/..`]) {
      await t.rejects(runtime.run({ image, network: 'none', workdir, command: ['pwd'] }), {
        code: /WORKDIR_INVALID|START_FAILED/,
      })
    }
  }
})

t.test('nothing of the host’s environment or of its command lines', async (t) => {
  const found = await output('cat /proc/*/environ /proc/*/cmdline | tr "\\0" "\\n" | grep -c "a secre[t] of the host"')
  t.equal(found[0], '0')
})

t.test('the helper can’t be overwritten', async (t) => {
  const hash = async () =>
    createHash('sha256')
      .update(await readFile(findHelper()))
      .digest('hex')
  const before = await hash()
  await using container = await runtime.run({
    image,
    network: 'none',
    command: [
      'sh',
      '-c',
      'while :; do for exe in /proc/[0-9]*/exe; do case $(readlink $exe) in *busybox*) ;; *) echo x >$exe && echo WRITTEN;; esac; done 2>/dev/null; done',
    ],
    capAdd: ['SYS_PTRACE'],
  })
  for (let i = 0; i < 20; i++) t.equal((await container.exec(['echo', 'fine'])).stdout, 'fine\n')
  await container.kill()
  await container.wait()
  for await (const { text } of container.logs()) t.notMatch(text, /WRITTEN/)
  t.equal(await hash(), before)
  const self = await runtime
    .run({ image, network: 'none', command: ['/proc/self/exe'] })
    .catch((error: unknown) => error)
  t.ok(self, 'to run the helper in a container is of no use')
  t.equal(await hash(), before)
  for (const left of await runtime.containers.list({ status: ['running', 'exited'] }))
    if (left !== container) await left.remove({ force: true })
})
