/** Who a container runs as is looked up in the image's own /etc/passwd, which is hostile input. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { attackLab, moved } from '../fixtures/attack-lab.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { weakened } from '../fixtures/weak-helper.js'

const lab = await attackLab(t)
const whoami = (user: string) => ({ user, command: ['busybox', 'id', '-u'] })

/** -1 is for setresuid(2) no change at all: who asks to be that user stays root. */
const minusOne = {
  without: ['etc/passwd'],
  add: [{ name: 'etc/passwd', content: 'nobody-at-all:x:4294967295:0::/:\n' }],
} as const

t.test('with ids that are no ids', async (t) => {
  const helper = { 'passwd.c': [['if (value >= UINT32_MAX) return false;', '']] } as const
  t.strictSame((await lab.weak(whoami('nobody-at-all'), { image: minusOne, helper })).lines, ['0'])
})

t.test('Podling', async (t) => {
  const image = await lab.imageWith(minusOne)
  t.match((await lab.strong({ ...whoami('nobody-at-all'), image })).error, { code: 'USER_NOT_FOUND' })
})

t.test('a passwd that is the host’s', async (t) => {
  const outside = await temporaryDirectory(t, 'podling-outside-')
  writeFileSync(join(outside, 'passwd'), 'evil:x:0:0::/:\n')
  const image = {
    without: ['etc/passwd'],
    add: [{ name: 'etc/passwd', type: 'symlink', linkname: `${'../'.repeat(20)}${outside.slice(1)}/passwd` }],
  } as const
  const plan = moved(['user'], 'pivot-root')
  const weak = await lab.weak(whoami('evil'), { image, plan, helper: weakened.lookup })
  t.strictSame(weak.lines, ['0'], 'looked up as any other path')
  t.match((await lab.weak(whoami('evil'), { image, plan })).error, { code: 'USER_NOT_FOUND' }, 'no protection less')
  const strong = await lab.strong({ ...whoami('evil'), image: await lab.imageWith(image) })
  t.match(strong.error, { code: 'USER_NOT_FOUND' }, 'Podling')
})

t.test('a passwd that the container changes before a command is brought in', async (t) => {
  const make = {
    'no ids': "echo 'evil:x:4294967295:0::/:' >/etc/passwd",
    'a FIFO': 'busybox mkfifo /etc/passwd',
    'a device': 'ln -s /dev/zero /etc/passwd',
    'the process’s own root': 'ln -s /proc/self/root/etc/other /etc/passwd',
    'a directory': 'mkdir /etc/passwd',
  }
  for (const [what, line] of Object.entries(make)) {
    await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
    const script = `echo 'evil:x:0:0::/:' >/etc/other; rm /etc/passwd; ${line}`
    t.match(await container.exec(['sh', '-c', script]), { exitCode: 0 })
    await t.rejects(container.exec(['id', '-u'], { user: 'evil' }), { code: 'USER_NOT_FOUND' }, what)
    t.match(await container.exec(['true']), { exitCode: 0 }, 'its own user is known')
  }
})

t.test('a passwd that can’t be read to its end', async (t) => {
  for (const entry of [
    { type: 'fifo' },
    { type: 'character-device', devmajor: 1, devminor: 5 },
    { type: 'symlink', linkname: '/dev/zero' },
  ] as const) {
    const image = await lab.imageWith({ without: ['etc/passwd'], add: [{ name: 'etc/passwd', ...entry }] })
    t.match((await lab.strong({ ...whoami('app'), image })).error, { code: 'USER_NOT_FOUND' }, entry.type)
  }
})
