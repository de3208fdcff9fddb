/**
 * A layer that is another by the time it is used than it was when it was checked: somebody swaps the blobs of an OCI layout
 * directory all the while that images are loaded from it.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from 'podling'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'

const good = 'what was checked, to the last byte'
const evil = 'what came afterwards, of that size'

const lab = await attackLab(t)
const directory = await temporaryDirectory(t, 'podling-layout-')
const layout = join(directory, 'layout')
const ref = await lab.imageWith({ add: [{ name: 'word', content: good }] })
await lab.runtime.images.save([ref], layout, { format: 'oci-dir' })
await lab.runtime.images.remove(ref)
const blobs = join(layout, 'blobs/sha256')
const digest = readdirSync(blobs).find((name) => readFileSync(join(blobs, name)).includes(good)) ?? ''
const bytes = readFileSync(join(blobs, digest))
writeFileSync(join(directory, 'good'), bytes)
writeFileSync(join(directory, 'evil'), Buffer.from(bytes.toString('latin1').replace(good, evil), 'latin1'))

// By renaming and by writing over: what is open is another, or has other contents.
const swapper = `while :; do
  cp evil next; mv next ${blobs}/${digest}; cp good next; mv next ${blobs}/${digest}
  cat evil >${blobs}/${digest}; cat good >${blobs}/${digest}
done`
const child = spawn('busybox', ['sh', '-c', swapper], { cwd: directory, stdio: 'ignore' })
t.teardown(() => child.kill('SIGKILL'))

t.test('a loader that checks first and unpacks then', async (t) => {
  const root = join(directory, 'naive')
  mkdirSync(root)
  let got = ''
  for (let turn = 0; turn < 2000 && got !== evil; turn++) {
    const path = join(blobs, digest)
    if (createHash('sha256').update(readFileSync(path)).digest('hex') !== digest) continue
    try {
      execFileSync('tar', ['-x', '-f', path, '-C', root, 'word'], { stdio: 'ignore' })
      got = readFileSync(join(root, 'word'), 'utf8')
    } catch {
      // Half of one and half of the other.
    }
  }
  t.equal(got, evil, 'unpacks what was not checked')
})

t.test('Podling', async (t) => {
  const outcomes = new Map<string, number>()
  // So many, and until both are met: which turn meets what is chance.
  for (let turn = 0; turn < 30 || !outcomes.has(good) || outcomes.size < 2; turn++) {
    let outcome: string
    try {
      const image = await lab.runtime.images.load(layout)
      {
        await using mounted = await lab.runtime.images.mount(image)
        outcome = readFileSync(join(mounted.path, 'word'), 'utf8')
      }
      await lab.runtime.images.remove(image)
    } catch (error) {
      if (!(error instanceof PodlingError)) throw error
      outcome = error.code
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  const said = JSON.stringify([...outcomes])
  for (const outcome of outcomes.keys()) t.ok([good, 'DIGEST_MISMATCH', 'SIZE_MISMATCH'].includes(outcome), said)
  t.ok(outcomes.has(good) && outcomes.size > 1, `both are met: ${said}`)
})
