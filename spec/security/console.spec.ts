/**
 * CVE-2025-52565: /dev/console and /dev/pts are followed while they are the image's. Ours are made in a new /dev, and a
 * target that leads out of the root ends in it.
 */
import { readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Spec } from '../../lib/launch/oci-spec.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakened } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)
const outside = await temporaryDirectory(t, 'podling-outside-')
const links = await temporaryDirectory(t, 'podling-dev-')
symlinkSync(outside, join(links, 'console'))
const attack = { command: ['true'], volumes: [`${links}:/dev`] }
/** A terminal, bound where the console is, as a runtime does it. */
const bound = (spec: Spec): Spec => ({
  ...spec,
  linux: { ...spec.linux!, maskedPaths: [] },
  mounts: [
    ...spec.mounts!,
    { destination: '/dev/console/terminal', type: 'bind', source: '/dev/null', options: ['bind'] },
  ],
})

t.test('with a target that is looked up as any other path', async (t) => {
  await lab.weak(attack, { spec: bound, helper: weakened.lookup })
  t.strictSame(readdirSync(outside), ['terminal'], 'it is made outside')
})

t.test('the same link, and no protection less', async (t) => {
  const clean = await temporaryDirectory(t, 'podling-outside-')
  const others = await temporaryDirectory(t, 'podling-dev-')
  symlinkSync(clean, join(others, 'console'))
  await lab.weak({ ...attack, volumes: [`${others}:/dev`] }, { spec: bound })
  t.strictSame(readdirSync(clean), [])
})

t.test('Podling uses nothing of an image’s /dev', async (t) => {
  const image = await lab.imageWith({
    add: [
      { name: 'dev/console', type: 'symlink', linkname: '/proc/sys/kernel/core_pattern' },
      { name: 'dev/pts', type: 'symlink', linkname: '/proc/sys' },
      { name: 'dev/tty', type: 'symlink', linkname: '/proc/sysrq-trigger' },
    ],
  })
  const look = 'for path in console pts tty; do readlink /dev/$path; done; stat -c %F /dev/pts'
  t.strictSame((await lab.strong({ image, command: ['sh', '-c', look] })).lines, ['directory'])
})
