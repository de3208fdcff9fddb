/** What an image's HEALTHCHECK comes to, beside what `podman healthcheck run` makes of the same image. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Runtime } from 'podling'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { busyboxRootfs } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const tests: Readonly<Record<string, readonly string[]>> = {
  command: ['CMD', 'sh', '-c', 'echo $0 said; exit 1', 'command'],
  shell: ['CMD-SHELL', 'echo $((1 + 1)); exit 3'],
  well: ['CMD-SHELL', 'echo fine'],
  none: ['NONE'],
}

t.test('beside podman', needs('root', 'podman', 'runc', 'busybox'), async (t) => {
  const directory = await temporaryDirectory(t, 'podling-health-')
  await using runtime = await Runtime.open({ root: join(directory, 'root') })
  const podman = (...words: string[]) => {
    const places = ['--root', join(directory, 'store'), '--runroot', join(directory, 'run')]
    const env = { ...process.env, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }
    const all = [...places, '--storage-driver', 'vfs', '--runtime', 'runc', '--cgroup-manager', 'cgroupfs', ...words]
    const { status, stdout, stderr } = spawnSync('podman', all, { encoding: 'utf8', env })
    return { status, stdout: stdout.trim(), stderr }
  }
  t.teardown(() => podman('rm', '--all', '--force', '--time', '0'))
  for (const [name, test] of Object.entries(tests)) {
    await t.test(name, async (t) => {
      const ref = `localhost/${name}:1`
      const config = { cmd: ['sleep', '86399'], healthcheck: { test, interval: 3_600_000, retries: 1 } }
      await runtime.images.import(await busyboxRootfs(), { ref, config })
      const tar = join(directory, `${name}.tar`)
      await runtime.images.save(ref, tar, { format: 'docker-archive' })
      podman('load', '-q', '-i', tar)
      const { stdout: id, stderr } = podman('run', '-d', '--network', 'none', ref)
      t.match(id, /^[0-9a-f]{64}$/, stderr)
      const run = podman('healthcheck', 'run', id)
      await using container = await runtime.run({ image: ref, network: 'none' })
      if (name === 'none') {
        t.not(run.status, 0)
        t.match(run.stderr, /no defined healthcheck/)
        await t.rejects(container.healthcheck(), { code: 'INVALID_STATE' })
        return
      }
      const ours = await container.healthcheck()
      const state = podman('inspect', '--format', '{{json .State.Health}}', id).stdout
      const theirs = JSON.parse(state) as { Status: string; Log: { ExitCode: number; Output: string }[] }
      t.equal(container.inspect().health?.status, theirs.Status)
      t.equal(ours.exitCode === 0, theirs.Log.at(-1)?.ExitCode === 0)
      t.equal(run.status === 0, ours.exitCode === 0)
      t.equal(ours.output.trim(), theirs.Log.at(-1)?.Output.trim())
    })
  }
})
