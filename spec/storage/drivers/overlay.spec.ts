import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { DriverLayers, StorageDriver } from '../../../lib/storage/drivers/driver.js'
import { overlayKind } from '../../../lib/storage/drivers/overlay.js'
import { removeTrees } from '../../../lib/storage/remove-tree.js'
import { temporaryDirectory } from '../../fixtures/directory.js'
import { inRoot, noPrograms } from '../../fixtures/in-root.js'
import { openUnpacker } from '../../fixtures/unpacker.js'

interface Store {
  readonly root: string
  readonly driver: StorageDriver
  /** Unpackers opened so far. */
  readonly opened: () => number
}

const noLayers: DriverLayers = { lower: () => [], root: () => ({ uid: 0, gid: 0, mode: 0o755 }) }

/** A driver whose layers are directories that `chainId` names, topmost first, with `+` between. */
async function openDriver(t: Test): Promise<Store> {
  const root = await temporaryDirectory(t)
  let count = 0
  const lower = (chainId: string): string[] => chainId.split('+').map((name) => join(root, name))
  const layers = { lower, root: (chainId: string) => statSync(lower(chainId)[0]!) }
  const driver = await overlayKind.open({
    directory: join(root, 'containers'),
    layers,
    openUnpacker(directory) {
      count++
      return openUnpacker(directory)
    },
    ...noPrograms,
  })
  t.teardown(() => driver.close())
  return { root, driver, opened: () => count }
}

t.test('a container writes to its own layer', async (t) => {
  const { root, driver, opened } = await openDriver(t)
  mkdirSync(join(root, 'base'), { mode: 0o755 })
  mkdirSync(join(root, 'top'), { mode: 0o751 })
  execFileSync('chown', ['3:4', join(root, 'top')])
  writeFileSync(join(root, 'base', 'below'), 'below')
  writeFileSync(join(root, 'top', 'above'), 'above')
  await driver.prepare('c1', 'top+base')
  await driver.prepare('c1', 'top+base')
  const mount = (await driver.mount('c1')).operations
  t.strictSame(mount, [
    {
      op: 'root-overlay',
      lower: [join(root, 'top'), join(root, 'base'), join(root, 'containers/skeleton')],
      upper: join(root, 'containers/c1/upper'),
      work: join(root, 'containers/c1/work-top+base'),
      options: ['index=off', 'metacopy=off', 'redirect_dir=off'],
      at: join(root, 'containers/root'),
    },
  ])
  t.equal(
    inRoot(mount, 'stat -c %u:%g:%a .; cat above below; rm below; echo new > new; echo changed > above'),
    '3:4:751\nabovebelow',
  )
  t.equal(
    inRoot(mount, 'ls; cat above'),
    'above\ndev\netc\nnew\nproc\nsys\nchanged\n',
    'and finds it again, beside the mount points',
  )
  t.equal(readFileSync(join(root, 'top', 'above'), 'utf8'), 'above')
  t.ok(statSync(join(root, 'containers/c1/upper/below')).isCharacterDevice())
  await driver.remove('c1')
  await driver.remove('c1')
  t.strictSame(readdirSync(join(root, 'containers')).sort(), ['removed', 'root', 'skeleton', 'spare'])
  t.equal(opened(), 1)
  await t.rejects(driver.mount('c1'), { code: 'STATE_INVALID' })
})

t.test('a root without an image', async (t) => {
  const { driver } = await openDriver(t)
  await driver.prepare('empty', undefined)
  t.equal(
    inRoot((await driver.mount('empty')).operations, 'ls -A; ls etc; stat -c %u:%g:%a .'),
    'dev\netc\nproc\nsys\nhostname\nhosts\nresolv.conf\n0:0:755\n',
  )
  await driver.remove('empty')
})

t.test('volatile roots can be mounted again', async (t) => {
  const { driver } = await openDriver(t)
  await driver.prepare('v', undefined)
  const first = (await driver.mount('v', { volatile: true })).operations
  t.match(first, [{ options: ['index=off', 'metacopy=off', 'redirect_dir=off', 'volatile'] }])
  inRoot(first, 'echo x > x; sync .')
  t.equal(inRoot((await driver.mount('v', { volatile: true })).operations, 'cat x'), 'x\n')
  await driver.remove('v')
})

t.test('ids that are no name of a directory are refused', async (t) => {
  const { driver } = await openDriver(t)
  for (const id of ['', '.', '..', 'a/b', '/x', 'root', 'removed', 'spare', '-x', 'a\0', '../x']) {
    await t.rejects(driver.prepare(id, undefined), { code: 'INVALID_OPTION' }, JSON.stringify(id))
    await t.rejects(driver.remove(id), { code: 'INVALID_OPTION' })
    await t.rejects(driver.mount(id), { code: 'INVALID_OPTION' })
  }
})

t.test('hostile trees are removed, and nothing else', async (t) => {
  const { root, driver, opened } = await openDriver(t)
  writeFileSync(join(root, 'victim'), 'untouched')
  mkdirSync(join(root, 'victims'))
  writeFileSync(join(root, 'victims', 'one'), 'untouched')
  await driver.prepare('h', undefined)
  const upper = join(root, 'containers/h/upper')
  symlinkSync(join(root, 'victims'), join(upper, 'link'))
  symlinkSync('../../../../victim', join(upper, 'other'))
  // Too deep for a path, and for a stack or a table of descriptors.
  makeDeep(upper, 20_000)
  for (let i = 0; i < 300; i++) writeFileSync(join(upper, `file${String(i)}`), '')
  mkdirSync(join(upper, 'forbidden'), { mode: 0 })
  execFileSync('mkfifo', [join(upper, 'fifo')])
  execFileSync('mknod', [join(upper, 'device'), 'c', '5', '1'])
  mkdirSync(join(upper, 'fixed', 'inner'), { recursive: true })
  writeFileSync(join(upper, 'fixed', 'inner', 'file'), 'x')
  execFileSync('chattr', [
    '+i',
    join(upper, 'fixed', 'inner', 'file'),
    join(upper, 'fixed', 'inner'),
    join(upper, 'fixed'),
  ])
  writeFileSync(join(upper, 'appended'), 'x')
  execFileSync('chattr', ['+a', join(upper, 'appended')])
  await driver.remove('h')
  t.strictSame(readdirSync(join(root, 'containers')).sort(), ['removed', 'root', 'skeleton', 'spare'])
  t.strictSame(readdirSync(join(root, 'containers/removed')), [])
  t.ok(opened() > 0)
  t.equal(readFileSync(join(root, 'victim'), 'utf8'), 'untouched')
  t.strictSame(readdirSync(join(root, 'victims')), ['one'])
})

t.test('a small tree that resists is left to an unpacker', async (t) => {
  const { root, driver, opened } = await openDriver(t)
  await driver.prepare('i', undefined)
  writeFileSync(join(root, 'containers/i/upper/file'), 'x')
  execFileSync('chattr', ['+i', join(root, 'containers/i/upper/file')])
  await driver.remove('i')
  t.equal(opened(), 1)
  t.notOk(existsSync(join(root, 'containers/i')))
})

t.test('removals that were interrupted are finished by open()', async (t) => {
  const { root, driver } = await openDriver(t)
  await driver.prepare('kept', undefined)
  mkdirSync(join(root, 'containers/removed/c-1/upper/x'), { recursive: true })
  const second = await overlayKind.open({
    directory: join(root, 'containers'),
    layers: noLayers,
    openUnpacker,
    ...noPrograms,
  })
  await second.close()
  t.strictSame(readdirSync(join(root, 'containers/removed')), [])
  t.ok(existsSync(join(root, 'containers/kept')))
})

t.test('spares of a dead process go, those of a living one stay', async (t) => {
  const { root, driver } = await openDriver(t)
  const spare = join(root, 'containers/spare')
  const keys = (): string[] => readdirSync(spare).filter((name) => !name.endsWith('.lock'))
  const [mine] = keys()
  while (readdirSync(join(spare, mine!)).length < 8) await setTimeout(5)
  mkdirSync(join(spare, 'dead', '0', 'upper'), { recursive: true })
  const second = await overlayKind.open({
    directory: join(root, 'containers'),
    layers: noLayers,
    openUnpacker,
    ...noPrograms,
  })
  t.equal(keys().length, 2)
  t.ok(keys().includes(mine!) && !keys().includes('dead'))
  // More than there are.
  await Promise.all(Array.from({ length: 20 }, (_, i) => driver.prepare(`c${String(i)}`, undefined)))
  for (let i = 0; i < 20; i++) t.equal(readdirSync(join(root, `containers/c${String(i)}`)).length, 2)
  await driver.close()
  await driver.close()
  await second.close()
  t.strictSame(readdirSync(spare), [])
})

t.test('what can not be removed is named', async (t) => {
  const root = await temporaryDirectory(t)
  mkdirSync(join(root, 'busy/mounted'), { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', 'podling-spec', join(root, 'busy/mounted')])
  try {
    await t.rejects(removeTrees(openUnpacker, root, ['busy']), { code: 'SYSTEM_CALL_FAILED', message: /busy: .*EBUSY/ })
  } finally {
    execFileSync('umount', [join(root, 'busy/mounted')])
  }
  await removeTrees(openUnpacker, root, ['busy', 'gone'])
  t.strictSame(readdirSync(root), [])
})

function makeDeep(directory: string, depth: number): void {
  const script = `import os, sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
  os.mkdir('d' * 200)
  os.chdir('d' * 200)
open('f', 'w').close()`
  execFileSync('python3', ['-c', script, directory, String(depth)])
}
