import t from 'tap'
import { chooseSelinux, withLabels } from '../../../lib/container/labels/choose-labels.js'
import { Levels } from '../../../lib/container/labels/levels.js'
import { levelOf, usualPolicy } from '../../../lib/security/selinux.js'
import { Database } from '../../../lib/storage/database.js'

t.test('no two have the same level, whichever process draws it', async (t) => {
  const directory = t.testdir()
  const databases = await Promise.all([Database.open(`${directory}/d`), Database.open(`${directory}/d`)])
  t.teardown(() => Promise.all(databases.map((one) => one.close())))
  const [one, other] = databases.map((database) => new Levels(database))
  if (one === undefined || other === undefined) throw new Error('two were opened')
  const ids = Array.from({ length: 300 }, (_, index) => String(index))
  const drawn = await Promise.all(ids.map((id, index) => (index % 2 === 0 ? one : other).allot(id)))
  t.equal(new Set(drawn).size, ids.length)
  t.equal(one.holders().length, ids.length)
  t.equal(await one.allot('asked', drawn[0]), drawn[0], 'who asks for one has it, though it is another’s')
  await Promise.all(ids.map((id) => other.free(id)))
  await other.free('0')
  t.strictSame(one.holders(), ['asked'])
})

t.test('who has which label', async (t) => {
  const database = await Database.open(`${t.testdir()}/d`)
  t.teardown(() => database.close())
  const levels = new Levels(database)
  const asked = { privileged: false, ipc: 'private', pidns: 'private' } as const
  const labels = await chooseSelinux({ selinux: usualPolicy }, asked)?.(levels, 'a')
  t.strictSame(levels.holders(), ['a'])
  t.equal(levelOf(labels?.process ?? ''), levelOf(labels?.mount ?? ''), 'one level for both')
  t.match(labels?.process, /^system_u:system_r:container_t:s0:c\d+,c\d+$/)

  const member = await chooseSelinux({ selinux: usualPolicy }, asked, labels?.mount)?.(levels, 'b')
  t.strictSame(member, labels, 'in a pod it has the pod’s')
  t.strictSame(levels.holders(), ['a'])
  for (const open of [
    { privileged: true },
    { ipc: 'host' },
    { pidns: 'host' },
    { selinux: { disable: true } },
  ] as const) {
    const disabled = await chooseSelinux({ selinux: usualPolicy }, { ...asked, ...open })?.(levels, 'c')
    t.strictSame(disabled, { mount: 'system_u:object_r:container_file_t:s0:c1022,c1023' })
  }
  const typed = chooseSelinux({ selinux: usualPolicy }, { ...asked, privileged: true, selinux: { type: 'spc_t' } })
  t.match((await typed?.(levels, 'd'))?.process, /^system_u:system_r:spc_t:s0:c/, 'what is asked for stands')

  const process = { cwd: '/', user: { uid: 0, gid: 0 } }
  t.strictSame(withLabels({ ociVersion: '1.2.0', process, linux: {} }, { process: 'p', mount: 'm' }), {
    ociVersion: '1.2.0',
    process: { ...process, selinuxLabel: 'p' },
    linux: { mountLabel: 'm' },
  })
})

t.test('where there is no SELinux', async (t) => {
  const asked = { privileged: false, ipc: 'private', pidns: 'private' } as const
  t.equal(chooseSelinux({}, asked), undefined, 'no label')
  t.equal(chooseSelinux({}, { ...asked, selinux: { disable: true } }), undefined)
  t.throws(() => chooseSelinux({}, { ...asked, selinux: { type: 'container_t' } }), {
    code: 'KERNEL_UNSUPPORTED',
    message: /^selinux: .*no SELinux.*; boot with .*security=selinux selinux=1.*, or leave the option out$/,
  })
})
