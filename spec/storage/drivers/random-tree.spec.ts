/** A random tree, made a layer: what each driver shows of it is what GNU tar and podman make of the same bytes. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Runtime } from 'podling'
import t from 'tap'
import { temporaryDirectory } from '../../fixtures/directory.js'
import { makeLayout } from '../../fixtures/images.js'
import { checksums, listing, makeTree } from '../../fixtures/random-tree.js'
import { needs } from '../../peers.js'

for (const seed of [7, 1234]) {
  t.test(`seed ${String(seed)}`, needs('root', 'podman', 'attr', 'fuse-overlayfs'), async (t) => {
    const directory = await temporaryDirectory(t, 'podling-tree-')
    const tar = join(directory, 'tree.tar')
    const xattrs = ['--xattrs', '--xattrs-include=*']
    makeTree(join(directory, 'tree'), seed)
    execFileSync('tar', ['--format=posix', ...xattrs, '-cS', '-f', tar, '-C', directory, 'tree'], { stdio: 'pipe' })
    const expected = join(directory, 'expected')
    mkdirSync(expected)
    execFileSync('tar', [...xattrs, '--numeric-owner', '-xpf', tar, '-C', expected], { stdio: 'pipe' })
    const layout = await makeLayout(join(directory, 'layout'), [{ layers: [readFileSync(tar)] }])
    const wanted = { listing: listing(join(expected, 'tree')), sums: checksums(join(expected, 'tree')) }
    t.ok(wanted.listing.length > 300)

    await t.test('podman', (t) => {
      const podman = (...words: string[]): string => {
        const places = [
          '--root',
          join(directory, 'store'),
          '--runroot',
          join(directory, 'run'),
          '--storage-driver',
          'vfs',
        ]
        const env = { ...process.env, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' }
        return execFileSync('podman', [...places, ...words], {
          encoding: 'utf8',
          env,
          stdio: ['ignore', 'pipe', 'pipe'],
        }).trim()
      }
      const id = podman('pull', '-q', `oci:${layout.directory}:latest`)
      // With vfs a mounted image is a directory: nothing is mounted.
      const path = join(podman('image', 'mount', id), 'tree')
      t.strictSame(listing(path), wanted.listing)
      t.strictSame(checksums(path), wanted.sums)
      podman('image', 'unmount', id)
      t.end()
    })

    for (const storageDriver of ['overlay', 'fuse-overlayfs', 'vfs', 'erofs'] as const) {
      await t.test(storageDriver, async (t) => {
        await using runtime = await Runtime.open({ root: join(directory, storageDriver), storageDriver })
        await using root = await runtime.images.mount(await runtime.images.load(layout.directory))
        const path = join(root.path, 'tree')
        // Debian's fuse-overlayfs tells of one link each, though links have one inode.
        const counted = storageDriver !== 'fuse-overlayfs'
        const lines = (list: string[]): string[] => (counted ? list : list.map(withoutCount))
        t.strictSame(lines(listing(path)), lines(wanted.listing))
        t.strictSame(checksums(path), wanted.sums)
      })
    }
  })
}

/** A line of {@link listing} without how many links there are. */
function withoutCount(line: string): string {
  return line.replace(/\|\d+\|(\.(\/[^|]*)?\|\d*)$/, '|$1')
}
