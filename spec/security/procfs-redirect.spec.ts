/**
 * CVE-2019-19921 and CVE-2025-52881: what a runtime writes below /proc is led elsewhere by a /proc that is not the kernel's. Of
 * ours these are sysctls and oom_score_adj; labels are written by way of the host's own /proc, before the root is entered.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Spec } from '../../lib/launch/oci-spec.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'

const lab = await attackLab(t)
const blind = {
  'resolve.c': [
    [
      'if (status.f_type == PROC_SUPER_MAGIC && node.st_ino == 1) return steal_fd(&procfs);',
      'return steal_fd(&procfs);',
    ],
    ['RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS', '0'],
  ],
} as const

/** A /proc whose files that are written are links to one that the runtime must not touch. */
async function makeFake(t: Test): Promise<{ fake: string; victim: string; spec: (spec: Spec) => Spec }> {
  const fake = await temporaryDirectory(t, 'podling-proc-')
  const victim = join(fake, 'victim')
  writeFileSync(victim, 'untouched')
  mkdirSync(join(fake, 'sys/net/ipv4'), { recursive: true })
  symlinkSync('../../../victim', join(fake, 'sys/net/ipv4/ip_default_ttl'))
  // Another parameter that is set.
  writeFileSync(join(fake, 'sys/net/ipv4/ping_group_range'), '')
  mkdirSync(join(fake, '1'))
  symlinkSync('1', join(fake, 'self'))
  symlinkSync('../victim', join(fake, '1/oom_score_adj'))
  const spec = (spec: Spec): Spec => ({
    ...spec,
    mounts: spec.mounts!.map((mount) =>
      mount.destination === '/proc' ? { destination: '/proc', type: 'bind', source: fake, options: ['bind'] } : mount,
    ),
  })
  return { fake, victim, spec }
}

const attack = { command: ['true'], sysctls: { 'net.ipv4.ip_default_ttl': 77 } }

for (const [what, options] of Object.entries({
  'a sysctl': attack,
  oom_score_adj: { command: ['true'], oomScoreAdj: 77 },
})) {
  t.test(`${what}, with whatever is at /proc`, async (t) => {
    const { victim, spec } = await makeFake(t)
    await lab.weak(options, { spec, helper: blind })
    t.equal(readFileSync(victim, 'utf8').slice(0, 2), '77')
  })

  t.test(`${what}, by the same /proc, and no protection less`, async (t) => {
    const { victim, spec } = await makeFake(t)
    t.match((await lab.weak(options, { spec })).error, { code: 'START_FAILED', message: /not the kernel’s procfs/ })
    t.equal(readFileSync(victim, 'utf8'), 'untouched')
  })
}

t.test('Podling', async (t) => {
  const { fake, victim } = await makeFake(t)
  t.match((await lab.strong({ ...attack, volumes: [`${fake}:/proc/sys/net`] })).error, { code: 'INVALID_OPTION' })
  t.ok((await lab.strong({ ...attack, volumes: [`${fake}:/proc`] })).error)
  t.equal(readFileSync(victim, 'utf8'), 'untouched')
  const image = await lab.imageWith({ without: ['proc'], add: [{ name: 'proc', type: 'symlink', linkname: '/tmp' }] })
  t.match((await lab.strong({ ...attack, image })).error, { code: 'START_FAILED' }, 'nor a link of the image')
})
