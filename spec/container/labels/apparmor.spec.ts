import t from 'tap'
import { chooseApparmor, withProfile, type Apparmor } from '../../../lib/container/labels/choose-apparmor.js'
import { Section } from '../../../lib/container/quadlet/entry.js'
import { apparmorEntries } from '../../../lib/container/quadlet/label-entries.js'
import { defaultProfile, parseProfiles } from '../../../lib/security/apparmor.js'

const machine = (obstacle?: string, names?: string[]): Apparmor => ({
  isOn: () => true,
  loaded: () => (names === undefined ? undefined : new Set(names)),
  loadDefault: () => Promise.resolve(obstacle),
})
const none: Apparmor = { ...machine(), isOn: () => false }

t.test('who has which profile', async (t) => {
  const plain = { privileged: false }
  t.strictSame(await chooseApparmor(machine(), plain), { profile: 'podling-default' })
  t.strictSame(await chooseApparmor(machine('why'), plain), { profile: 'unconfined', reason: 'why' })
  t.strictSame(await chooseApparmor(machine(), { privileged: true }), {
    profile: 'unconfined',
    reason: 'it is privileged',
  })
  t.strictSame(await chooseApparmor(machine(), { ...plain, apparmor: 'unconfined' }), { profile: 'unconfined' })
  t.strictSame(await chooseApparmor(machine('', ['mine']), { ...plain, apparmor: 'mine' }), { profile: 'mine' })
  t.strictSame(
    await chooseApparmor(machine(''), { ...plain, apparmor: 'mine' }),
    { profile: 'mine' },
    'where it can’t be told, the start tells',
  )
  await t.rejects(chooseApparmor(machine('', ['other']), { ...plain, apparmor: 'mine' }), {
    code: 'APPARMOR_PROFILE_NOT_LOADED',
  })
})

t.test('where there is no AppArmor', async (t) => {
  t.equal(await chooseApparmor(none, { privileged: false }), undefined)
  t.equal(await chooseApparmor(none, { privileged: false, apparmor: 'unconfined' }), undefined)
  await t.rejects(chooseApparmor(none, { privileged: false, apparmor: 'mine' }), {
    code: 'KERNEL_UNSUPPORTED',
    message: /^apparmor: .*no AppArmor.*profile mine.*; boot with .*apparmor=1, or leave the option out$/,
  })
})

t.test('in a spec, and in a unit file', async (t) => {
  const spec = { ociVersion: '1.2.0', process: { cwd: '/', user: { uid: 0, gid: 0 } } }
  t.equal(withProfile(spec, { profile: 'mine' }).process?.apparmorProfile, 'mine')
  t.equal(withProfile(spec, { profile: 'unconfined' }), spec)
  t.equal(withProfile(spec, undefined), spec)
  t.strictSame(apparmorEntries('mine', new Section('Container')), [
    { setting: { section: 'Container', key: 'PodmanArgs', value: '--security-opt=apparmor=mine' } },
  ])
})

t.test('what is loaded', async (t) => {
  t.strictSame(
    [...parseProfiles('podling-default (enforce)\n/usr/bin/man (complain)\nlsb_release (unconfined)\nrubbish\n')],
    ['podling-default', '/usr/bin/man', 'lsb_release'],
  )
  t.match(defaultProfile, /^profile podling-default /)
})
