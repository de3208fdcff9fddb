/**
 * CVE-2025-31133: files of the kernel are hidden under /dev/null. Where that is a link of the image or of a volume, what
 * it leads to would be mounted in its place, writable.
 */
import { statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { attackLab, moved } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { defaultMaskedPaths } from '../../lib/container/default-mounts.js'

const lab = await attackLab(t)
const masked = defaultMaskedPaths.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile()) ?? ''
// Of the container's own network: to write to it is no harm to the machine.
const ttl = '/proc/sys/net/ipv4/ip_default_ttl'
const attack = { command: ['sh', '-c', `echo 99 >${masked}; cat ${ttl}`] }
const links = await temporaryDirectory(t, 'podling-dev-')
symlinkSync(ttl, join(links, 'null'))
const hostile = { ...attack, volumes: [`${links}:/dev`] }
/** Whether what is hidden is hidden by the null device is not looked at; and read-only paths come later, as elsewhere. */
const trusting = {
  helper: {
    'child.c': [
      [
        'if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) return steal_fd(&fd);',
        'return steal_fd(&fd);',
      ],
    ],
  },
  plan: moved(['mask'], 'read-only'),
} as const

t.test('with whatever /dev/null is', async (t) => {
  t.strictSame(
    (await lab.weak(hostile, trusting)).lines,
    ['99'],
    'a parameter of the kernel is written through the mask',
  )
})

t.test('the same volume, and no protection less', async (t) => {
  t.match((await lab.weak(hostile, {})).error, { code: 'START_FAILED', message: /\/dev\/null .* not the null device/ })
})

t.test('Podling', async (t) => {
  const { error } = await lab.strong(hostile)
  t.ok(error, 'a volume in the place of /dev')
  for (const entry of [
    { name: 'dev/null', type: 'symlink', linkname: ttl },
    { name: 'dev/null', content: 'a file' },
    { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 5 },
  ] as const) {
    const { lines } = await lab.strong({ ...attack, image: await lab.imageWith({ add: [entry] }) })
    t.equal(lines.at(-1), '64', 'an image’s own is not used')
  }
  const file = join(links, 'file')
  writeFileSync(file, 'a file')
  const { lines, error: refused } = await lab.strong({ ...attack, volumes: [`${file}:/dev/null`] })
  t.ok(refused !== undefined || lines.at(-1) === '64', 'nor a volume on it')
})
