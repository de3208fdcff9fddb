/** CVE-2026-55686: a working directory that is a link is made, or entered, on the host. */
import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { attackLab, moved } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakened } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)
const attack = { workdir: '/away/inside', command: ['pwd'] }

async function hostile(t: Test) {
  const outside = await temporaryDirectory(t, 'podling-outside-')
  return { outside, image: { add: [{ name: 'away', type: 'symlink', linkname: outside }] } as const }
}

t.test('made before the root is entered, by any path', async (t) => {
  const { outside, image } = await hostile(t)
  await lab.weak(attack, { image, helper: weakened.lookup, plan: moved(['chdir'], 'pivot-root') })
  t.strictSame(readdirSync(outside), ['inside'])
})

t.test('the same image, and no protection less', async (t) => {
  const { outside, image } = await hostile(t)
  await lab.weak(attack, { image, plan: moved(['chdir'], 'pivot-root') })
  t.strictSame(readdirSync(outside), [])
})

t.test('Podling', async (t) => {
  const { outside, image } = await hostile(t)
  const ref = await lab.imageWith(image)
  const { lines } = await lab.strong({ ...attack, image: ref })
  t.strictSame(lines, [`${outside}/inside`], 'the link leads inside of the root')
  await using container = await lab.runtime.run({ image: ref, command: ['sleep', '1000'], network: 'none' })
  t.equal((await container.exec(['pwd'], { workdir: '/away/other' })).stdout, `${outside}/other\n`)
  t.strictSame(readdirSync(outside), [])
})
