/** CVE-2026-41579: an image whose /dev is a link to the host: devices are made and mounts are put there. */
import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Plan } from '../../lib/launch/plan.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakened } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)
const command = ['true']

/** An image whose /dev leads to a directory of the host, absolutely or up and away. */
async function hostileImage(t: Test, way: 'absolute' | 'relative') {
  const outside = await temporaryDirectory(t, 'podling-outside-')
  const linkname = way === 'absolute' ? outside : `${'../'.repeat(20)}${outside.slice(1)}`
  return { outside, changes: { without: ['dev'], add: [{ name: 'dev', type: 'symlink', linkname }] } as const }
}

for (const way of ['absolute', 'relative'] as const) {
  t.test(`${way}, with paths that are looked up as any other`, async (t) => {
    const { outside, changes } = await hostileImage(t, way)
    // On a new tmpfs nothing of it would be seen outside.
    await lab.weak({ command }, { helper: weakened.lookup, image: changes, plan: onDisk })
    t.ok(readdirSync(outside).includes('null'), 'a device of ours is made outside')
  })

  t.test(`${way}, and no protection less`, async (t) => {
    const { outside, changes } = await hostileImage(t, way)
    await lab.weak({ command }, { image: changes, plan: onDisk })
    t.strictSame(readdirSync(outside), [])
  })

  t.test(`${way}, Podling`, async (t) => {
    const { outside, changes } = await hostileImage(t, way)
    await lab.strong({ image: await lab.imageWith(changes), command, tmpfs: ['/dev/made'] })
    t.strictSame(readdirSync(outside), [])
  })
}

function onDisk(plan: Plan): Plan {
  const operations = plan.operations.filter(
    (one) => one.op !== 'mask' && !(one.op === 'mount' && one.target === '/dev'),
  )
  return { ...plan, operations }
}
