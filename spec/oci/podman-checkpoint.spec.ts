/** Podman's checkpoints on podling-oci, beside those on runc: where they are, and as archives that go elsewhere. */
import { join } from 'node:path'
import t from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { bothSay, engineImage, imageName, ownMachine, runtimeNames } from '../fixtures/engine.js'
import { within } from '../fixtures/leftovers.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { podmanExec, podmanWith, type Podman } from '../fixtures/podman.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  const needed = needs('root', 'podman', 'runc', 'busybox', 'skopeo', 'criu')
  if (needed.skip === undefined) ownMachine()
  const archive = needed.skip === undefined ? await engineImage(t) : ''
  const engines: Podman[] = []
  if (needed.skip === undefined) {
    for (const runtime of runtimeNames) engines.push(await podmanWith(t, runtime, archive))
  }

  t.test('container checkpoint and restore', needed, async (t) => {
    const directory = await temporaryDirectory(t, 'podling-podman-checkpoint-')
    const said = await bothSay(t, engines, async (podman, tell) => {
      const exported = join(directory, `${podman.runtime}.tar.gz`)
      const state = (name: string): Promise<string> =>
        podman.must('inspect', '--format', '{{.State.Status}} {{.State.Checkpointed}} {{.State.Restored}}', name)
      const counts = async (name: string): Promise<Count[]> =>
        (await podman.must('logs', name)).split('\n').filter(Boolean).map(countOf)
      /** All that it has said, once it is past this number. */
      const past = async (name: string, than: number): Promise<Count[]> => {
        const seen = await within(30_000, () => counts(name), (all) => lastOf(all) > than) // prettier-ignore
        if (lastOf(seen) <= than) throw new Error(`${podman.runtime}: ${name} has not come past ${String(than)}`)
        return seen
      }

      await podman.run('--detach', '--name', 'c', imageName, 'sh', '-c', counter)
      const before = await past('c', 3)
      await podmanExec(podman, 'c', 'sh', '-c', 'echo kept > /file; echo kept > /dev/shm/file')
      tell('checkpoint', [(await podman.call('container', 'checkpoint', 'c')).code, await state('c')])
      tell('restore', [(await podman.call('container', 'restore', 'c')).code, await state('c')])
      tell('goes on', isWhole(await past('c', lastOf(before) + 3)))
      tell('files', (await podmanExec(podman, 'c', 'cat', '/file', '/dev/shm/file')).stdout.trim())
      tell('leave running', [
        (await podman.call('container', 'checkpoint', '--leave-running', '--keep', 'c')).code,
        await state('c'),
      ])
      tell('still goes on', isWhole(await past('c', lastOf(await counts('c')) + 3)))
      tell('export', [(await podman.call('container', 'checkpoint', '--export', exported, 'c')).code, await state('c')])
      const last = lastOf(await counts('c'))
      await podman.must('rm', 'c')
      tell('import', [
        (await podman.call('container', 'restore', '--import', exported, '--name', 'd')).code,
        await state('d'),
      ])
      // The archive has the log as conmon had written it by then: it may lack the last word.
      tell('goes on elsewhere', isOne([...before, ...(await past('d', last + 1)).slice(before.length)]))
      tell('files elsewhere', (await podmanExec(podman, 'd', 'cat', '/file', '/dev/shm/file')).stdout.trim())
      tell('stop', [(await podman.call('stop', '--time', '0', 'd')).code, await state('d')])
      tell('of one that has ended', (await podman.call('container', 'checkpoint', 'd')).code)
      await podman.must('rm', 'd')
    })
    t.strictSame(said.get('checkpoint'), [0, 'exited true false'])
    t.strictSame(said.get('restore'), [0, 'running false true'])
    t.strictSame(said.get('leave running'), [0, 'running false true'])
    t.strictSame(said.get('import'), [0, 'running false true'])
    for (const step of ['goes on', 'still goes on', 'goes on elsewhere']) t.equal(said.get(step), true, step)
    for (const step of ['files', 'files elsewhere']) t.equal(said.get(step), 'kept\nkept', step)
  })
}

/** Says a number each time, and a name that it has in its memory alone. */
const counter =
  'name=$(cat /proc/sys/kernel/random/uuid); i=0; while true; do i=$((i+1)); echo $i $name; sleep 0.1; done'

interface Count {
  readonly number: number
  readonly name: string
}

function countOf(line: string): Count {
  const [number, name = ''] = line.trim().split(' ')
  return { number: Number(number), name }
}

function lastOf(counts: readonly Count[]): number {
  return counts.at(-1)?.number ?? 0
}

/** One process said it all, and nothing twice. */
function isOne(counts: readonly Count[]): boolean {
  return counts.every(({ number, name }, at) => name === counts[0]?.name && number > (counts[at - 1]?.number ?? 0))
}

/** As {@link isOne}, and nothing is missing. */
function isWhole(counts: readonly Count[]): boolean {
  return isOne(counts) && counts.every(({ number }, at) => number === at + 1)
}
