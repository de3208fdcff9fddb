/** Bundles with a user namespace, beside runc: the root has the ids that its maker gave it. */
import { execFileSync } from 'node:child_process'
import { chownSync, lchownSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ociRuntime, runs, type MutableSpec } from '../fixtures/oci.js'

const first = 864_500_000

function withUsers(spec: MutableSpec): void {
  const map = [{ containerID: 0, hostID: first, size: 1000 }]
  spec.linux.namespaces = [...(spec.linux.namespaces ?? []), { type: 'user' }]
  spec.linux.uidMappings = map
  spec.linux.gidMappings = map
}

/** All of a bundle's root becomes the container's, and what leads to it can be passed by all. */
function give(bundle: string): string {
  const rootfs = join(bundle, 'rootfs')
  chownSync(rootfs, first, first)
  for (const path of readdirSync(rootfs, { recursive: true })) lchownSync(join(rootfs, String(path)), first, first)
  execFileSync('chmod', ['755', join(bundle, '..')])
  return bundle
}

const look =
  'id -u; cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g / /bin/busybox /dev/null /dev/pts; echo made >/made && stat -c %u /made'

t.test('run and exec', async (t) => {
  const told: unknown[] = []
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const looks = give(
      runtime.bundle((spec) => {
        runs('sh', '-c', look)(spec)
        withUsers(spec)
      }),
    )
    const outcomes = [await runtime.call('run', '--bundle', looks, 'c')]
    const sleeps = give(
      runtime.bundle((spec) => {
        runs('sleep', '1000')(spec)
        withUsers(spec)
      }),
    )
    await runtime.must('create', '--bundle', sleeps, 's')
    await runtime.must('start', 's')
    outcomes.push(await runtime.call('exec', 's', 'sh', '-c', look), await runtime.call('exec', '--user', '7:8', 's', 'id'))
    await runtime.must('delete', '--force', 's')
    told.push(outcomes)
  }
  t.strictSame(told[1], told[0])
  t.match(told[1], [{ code: 0, stdout: /^0\n/ }, { code: 0 }, { code: 0, stdout: /uid=7 gid=8/ }])
}) // prettier-ignore

t.test('a container in the namespaces of another, by their paths, without mappings of its own', async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const sleeps = (change: (spec: MutableSpec) => void): string =>
      give(
        runtime.bundle((spec) => {
          runs('sleep', '1000')(spec)
          change(spec)
        }),
      )
    await runtime.must('run', '--detach', '--bundle', sleeps(withUsers), 'target')
    const { pid } = JSON.parse(await runtime.must('state', 'target')) as { pid: number }
    const files = { network: 'net', pid: 'pid', ipc: 'ipc', uts: 'uts', user: 'user' } as const
    const within = sleeps((spec) => {
      const joined = Object.entries(files).map(([type, file]) => ({ type, path: `/proc/${String(pid)}/ns/${file}` }))
      spec.linux.namespaces = [{ type: 'mount' }, ...(joined as NonNullable<MutableSpec['linux']['namespaces']>)]
      // What belongs to the uts namespace is the other's.
      delete spec.hostname
    })
    await runtime.must('run', '--detach', '--bundle', within, 'guest')
    t.match(await runtime.must('exec', 'guest', 'ps'), /sleep 1000[^]*sleep 1000/, `${name}: it sees the other`)
    t.match(
      await runtime.must('exec', 'guest', 'cat', '/proc/self/uid_map'),
      new RegExp(`^ +0 +${String(first)} +1000\n$`),
    )
    await runtime.must('delete', '--force', 'guest')
  }
})
