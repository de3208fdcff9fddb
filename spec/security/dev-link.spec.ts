/** CVE-2026-41579: an image whose /dev is a link to the host: devices and links are made and mounts are put there. */
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
    const made = readdirSync(outside)
    for (const name of ['null', 'fd', 'ptmx', 'shm']) t.ok(made.includes(name), `${name} of ours is made outside`)
  })

  t.test(`${way}, and no protection less`, async (t) => {
    const { outside, changes } = await hostileImage(t, way)
    await lab.weak({ command }, { image: changes, plan: onDisk })
    t.strictSame(readdirSync(outside), [])
  })

  t.test(`${way}, Podling`, async (t) => {
    const { outside, changes } = await hostileImage(t, way)
    const image = await lab.imageWith(changes)
    const look = ['sh', '-c', 'readlink /dev; test -c /dev/null && test -d /dev/made && echo devices']
    const { lines, error } = await lab.strong({ image, command: look, tmpfs: ['/dev/made'] })
    if (error === undefined)
      t.strictSame(lines.slice(-1), ['devices'], 'it has devices of its own, wherever its link leads')
    else t.match(error.code, /START_FAILED|INVALID_OPTION/)
    t.strictSame(readdirSync(outside), [])
  })
}

t.test('nor is it mounted over', async (t) => {
  const { outside, changes } = await hostileImage(t, 'absolute')
  const isOutside = (line: string) => line.includes(` ${outside} `)
  const plan = (plan: Plan): Plan => {
    const entry = plan.operations.findIndex(({ op }) => op === 'pivot-root')
    const tell = { op: 'exec', argv: ['/bin/cat', '/proc/self/mountinfo'], env: [] } as const
    return { ...plan, operations: [...plan.operations.slice(0, entry), tell] }
  }
  const weak = await lab.weak({ command }, { helper: weakened.lookup, image: changes, plan })
  t.ok(weak.lines.some(isOutside), 'looked up as any other path, it is')
  const { lines } = await lab.weak({ command }, { image: changes, plan })
  t.ok(lines.length > 0 && !lines.some(isOutside), 'with no protection less it is not')
})

function onDisk(plan: Plan): Plan {
  const operations = plan.operations.filter(
    (one) => one.op !== 'mask' && !(one.op === 'mount' && one.target === '/dev'),
  )
  return { ...plan, operations }
}
