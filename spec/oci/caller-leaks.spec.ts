/** CVE-2024-21626 and its like by way of a caller: what whoever calls podling-oci has open, or in its environment, is its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { ociRuntime, runs, type MutableSpec } from '../fixtures/oci.js'

const runtime = await ociRuntime(t)
const outside = await temporaryDirectory(t, 'podling-outside-')
writeFileSync(join(outside, 'secret'), 'of the host')
const directory = openSync(outside, 'r')
t.teardown(() => {
  closeSync(directory)
})

/** By a caller with directories open as 3 to 6, and a secret in its environment. */
async function run(
  flags: readonly string[],
  change: (spec: MutableSpec) => void,
): Promise<{ code: number; said: string }> {
  const words = ['--root', runtime.root, 'run', ...flags, '--bundle', runtime.bundle(change), 'leaks']
  const child = spawn(runtime.program, words, {
    stdio: ['ignore', 'pipe', 'ignore', directory, directory, directory, directory],
    env: { ...process.env, LEAK: 'a-secret-of-the-host' },
  })
  const [said, [code]] = await Promise.all([text(child.stdout!), once(child, 'exit') as Promise<[number]>])
  return { code, said }
}

const look = runs('sh', '-c', 'cat /proc/self/fd/*/secret; cat /proc/*/environ; ls /proc/self/fd')

t.test('a caller that passes on what it has', async (t) => {
  const { said } = await run(['--preserve-fds', '4'], (spec) => {
    look(spec)
    spec.process.env = [...(spec.process.env ?? []), 'LEAK=a-secret-of-the-host']
  })
  t.match(said, 'of the host')
  t.match(said, 'a-secret-of-the-host')
  t.match(
    await run(['--preserve-fds', '4'], (spec) => {
      runs('cat', 'secret')(spec)
      spec.process.cwd = '/proc/self/fd/3'
    }),
    { code: 1, said: '' },
    'which is no working directory nevertheless',
  )
})

t.test('podling-oci', async (t) => {
  const { code, said } = await run([], look)
  t.equal(code, 0)
  t.notMatch(said, 'of the host')
  t.notMatch(said, 'LEAK')
  t.match(said, /(^|\0)0\n1\n2\n3\n$/, 'and that of ls')
  for (const fd of [3, 4, 5, 6, 7, 8, 9, 10]) {
    const attempt = await run([], (spec) => {
      runs('cat', 'secret', '../secret')(spec)
      spec.process.cwd = `/proc/self/fd/${String(fd)}`
    })
    t.match(attempt, { code: 1, said: '' }, `/proc/self/fd/${String(fd)}`)
  }
})
