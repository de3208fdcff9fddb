/**
 * CVE-2021-30465: a container that shares a volume with the one that starts swaps a directory of it for a link to the
 * outside, just between the check of a mount's target and the mount.
 */
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakened } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)

interface Trap extends AsyncDisposable {
  readonly outside: string
  readonly victim: { readonly command: string[]; readonly volumes: string[]; readonly tmpfs: string[] }
}

/** A volume whose directory changes places with a link, over and over. */
async function makeTrap(t: Test): Promise<Trap> {
  const outside = await temporaryDirectory(t, 'podling-outside-')
  const volume = await temporaryDirectory(t, 'podling-volume-')
  mkdirSync(join(volume, 'target'))
  symlinkSync(outside, join(volume, 'link'))
  const swapper = await lab.runtime.run({
    image: lab.image,
    command: ['attack', 'swap', '/volume/target', '/volume/link'],
    volumes: [`${volume}:/volume`],
    network: 'none',
  })
  for await (const { text } of swapper.logs({ follow: true })) if (text === 'swapping') break
  return {
    outside,
    victim: { command: ['true'], volumes: [`${volume}:/volume`], tmpfs: ['/volume/target/made'] },
    [Symbol.asyncDispose]: () => swapper[Symbol.asyncDispose](),
  }
}

t.test('with targets that are looked up as any other path', async (t) => {
  await using trap = await makeTrap(t)
  const helper = { helper: weakened.lookup }
  for (let i = 0; i < 200 && readdirSync(trap.outside).length === 0; i++) await lab.weak(trap.victim, helper)
  t.strictSame(readdirSync(trap.outside), ['made'], 'the target is made outside')
})

t.test('Podling', async (t) => {
  await using trap = await makeTrap(t)
  for (let i = 0; i < 60; i++) await lab.strong(trap.victim)
  t.strictSame(readdirSync(trap.outside), [])
})
