/** A bundle whose root file system leads out of itself: where runtimes mount, make devices, and begin. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Plan } from '../../lib/launch/plan.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { ociRuntime, runs } from '../fixtures/oci.js'
import { weakened } from '../fixtures/weak-helper.js'

async function makeOutside(t: Test): Promise<{ path: string; up: string }> {
  const path = await temporaryDirectory(t, 'podling-outside-')
  writeFileSync(join(path, 'file'), 'of the host')
  return { path, up: `${'../'.repeat(20)}${path.slice(1)}` }
}

t.test('with paths that are looked up as any other', async (t) => {
  const lab = await attackLab(t)
  const { path, up } = await makeOutside(t)
  /** As for a bundle: its directory is the root. */
  const bound = (plan: Plan): Plan => ({
    ...plan,
    operations: plan.operations.map((operation) =>
      operation.op === 'root-overlay' ? { op: 'root-bind', source: operation.lower[0]! } : operation,
    ),
  })
  const image = { add: [{ name: 'away', type: 'symlink', linkname: up }] } as const
  const options = { command: ['true'], tmpfs: ['/away/made'] }
  await lab.weak(options, { image, plan: bound })
  t.strictSame(readdirSync(path), ['file'], 'no protection less')
  await lab.weak(options, { image, plan: bound, helper: weakened.lookup })
  t.strictSame(readdirSync(path).sort(), ['file', 'made'])
})

t.test('podling-oci', async (t) => {
  const runtime = await ociRuntime(t)
  const { path, up } = await makeOutside(t)
  for (const [name, target] of [
    ...['dev', 'proc', 'sys', 'tmp'].map((name) => [name, up] as const),
    ['dev', path],
    ['dev', '/proc/self/fd'],
    ['proc', '/tmp'],
    ['tmp', '/proc/self/root'],
  ] as const) {
    const bundle = runtime.bundle((spec) => {
      runs('sh', '-c', 'echo x >/dev/made; echo x >/tmp/below/made; cat /proc/kcore | head -c 1; echo x >file')(spec)
      spec.process.cwd = `/${name}/inside`
      spec.mounts.push(
        { destination: `/${name}/below`, type: 'tmpfs', source: 'tmpfs' },
        { destination: `/${name}/bound`, type: 'bind', source: join(path, 'file'), options: ['bind', 'ro'] },
      )
    })
    const rootfs = join(bundle, 'rootfs')
    rmdirSync(join(rootfs, name))
    symlinkSync(target, join(rootfs, name))
    const { stdout } = await runtime.call('run', '--bundle', bundle, 'links')
    t.equal(stdout, '', 'nothing is told of the host')
    t.strictSame(readdirSync(path), ['file'], `${name} to ${target}: nothing is made outside`)
    t.equal(readFileSync(join(path, 'file'), 'utf8'), 'of the host')
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), path, 'nor mounted')
  }
})

t.test('a root that is a link is none, as for runc', async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle(runs('true'))
    const link = join(bundle, 'linked')
    mkdirSync(link)
    symlinkSync('../rootfs', join(link, 'rootfs'))
    writeFileSync(join(link, 'config.json'), readFileSync(join(bundle, 'config.json')))
    t.match(await runtime.call('run', '--bundle', link, 'linked'), { code: 1, stdout: '' }, name)
  }
})
