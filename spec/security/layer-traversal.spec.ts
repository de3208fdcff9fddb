/** Layers whose names, links or hard links lead out of the directory that they are unpacked in. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { tar, type RawEntry } from '../fixtures/tar.js'

const lab = await attackLab(t)

/** Each reaches `victim`, which stands beside the directory that it is unpacked in, or makes `made` there. */
const attacks: Readonly<Record<string, (outside: string) => RawEntry[]>> = {
  'a name with ..': () => [{ name: '../made', contents: 'evil' }],
  'an absolute name': (outside) => [{ name: `${outside}/made`, contents: 'evil' }],
  'a file through a link': (outside) => [
    { name: 'link', type: '2', link: outside },
    { name: 'link/made', contents: 'evil' },
  ],
  'a directory in the place of a link': (outside) => [
    { name: 'link', type: '2', link: outside },
    { name: 'link/', type: '5' },
    { name: 'link/made', contents: 'evil' },
  ],
  'a file over a link': (outside) => [
    { name: 'link', type: '2', link: `${outside}/victim` },
    { name: 'link', contents: 'evil' },
  ],
  'a hard link to the outside, written to': (outside) => [
    { name: 'hard', type: '1', link: `${outside}/victim` },
    { name: 'hard', contents: 'evil' },
  ],
}

for (const [what, entries] of Object.entries(attacks)) {
  t.test(what, async (t) => {
    const outside = await temporaryDirectory(t, 'podling-outside-')
    writeFileSync(join(outside, 'victim'), 'of the host')
    mkdirSync(join(outside, 'layer'))
    mkdirSync(join(outside, 'naive'))
    const harmed = () =>
      existsSync(join(outside, 'made')) ||
      readFileSync(join(outside, 'victim'), 'utf8') !== 'of the host' ||
      statSync(join(outside, 'victim')).nlink > 1
    const bytes = tar(...entries(outside))

    const error = await lab.runtime.images.import(Readable.from([bytes])).catch((error: unknown) => error)
    t.notOk(harmed(), `Podling: ${error instanceof Error ? error.message : 'stays inside'}`)

    // Flags that make tar(1) as trusting as it can be: names as they are, and links followed.
    spawnSync('tar', ['-x', '-P', '--overwrite', '--keep-directory-symlink', '-C', join(outside, 'layer')], {
      input: bytes,
    })
    if (!harmed()) execFileSync('busybox', ['sh', '-c', naive(entries(outside))], { cwd: join(outside, 'naive') })
    t.ok(harmed(), 'a plain unpacker is led out')
  })
}

/** What an unpacker does that looks at nothing. */
function naive(entries: readonly RawEntry[]): string {
  return entries
    .map(({ name, type, link = '', contents = '' }) => {
      if (type === '2') return `ln -s '${link}' '${name}'`
      if (type === '1') return `ln '${link}' '${name}'`
      if (type === '5') return `mkdir -p '${name}'`
      return `printf %s '${String(contents)}' >'${name}'`
    })
    .join('\n')
}
