/**
 * CVE-2023-27561: an image whose /proc or /sys is a link. The kernel's file system is mounted where it leads, and masks and
 * read-only paths cover something else.
 */
import { readdirSync } from 'node:fs'
import t from 'tap'
import type { Plan } from '../../lib/launch/plan.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakened } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)

/** The plan up to where the root is entered; then it tells where all is mounted. */
function mountsOnly(plan: Plan): Plan {
  const entry = plan.operations.findIndex(({ op }) => op === 'pivot-root')
  const tell = { op: 'exec', argv: ['/bin/cat', '/proc/self/mountinfo'], env: [] } as const
  return { ...plan, operations: [...plan.operations.slice(0, entry), tell] }
}

for (const [name, type] of [
  ['proc', 'proc'],
  ['sys', 'sysfs'],
] as const) {
  t.test(`/${name}`, async (t) => {
    const outside = await temporaryDirectory(t, 'podling-outside-')
    for (const linkname of [outside, `${'../'.repeat(20)}${outside.slice(1)}`]) {
      const image = { without: [name], add: [{ name, type: 'symlink', linkname }] } as const
      const isOutside = (line: string) => line.includes(` ${outside} `) && line.includes(` - ${type} `)
      const weak = await lab.weak({ command: ['true'] }, { image, helper: weakened.lookup, plan: mountsOnly })
      t.ok(weak.lines.some(isOutside), 'looked up as any other path, it is mounted outside')
      const strong = await lab.weak({ command: ['true'] }, { image, plan: mountsOnly })
      t.notOk(strong.lines.some(isOutside), 'with no protection less it is not')

      const look = 'cat /proc/kcore /proc/keys | wc -c; (: >>/proc/sys/kernel/panic) && echo wrote'
      const { lines, error } = await lab.strong({
        image: await lab.imageWith(image),
        command: ['sh', '-c', `(${look}) 2>/dev/null`],
      })
      if (error === undefined) t.strictSame(lines, ['0'], 'Podling: masks and read-only paths hold')
      else t.match(error.code, /START_FAILED|INVALID_OPTION/)
      t.strictSame(readdirSync(outside), [])
    }
  })
}
