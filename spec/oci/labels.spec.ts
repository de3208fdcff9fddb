/** Labels and profiles of a spec on a kernel that keeps none: refused as runc refuses them. */
import t from 'tap'
import { isApparmorOn } from '../../lib/security/apparmor-machine.js'
import { isSelinuxOn } from '../../lib/security/selinux-machine.js'
import { ociRuntime, runs } from '../fixtures/oci.js'

t.test('a label where there is no SELinux', { skip: isSelinuxOn() && 'there is SELinux' }, async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      runs('true')(spec)
      spec.process = { ...spec.process, selinuxLabel: 'system_u:system_r:container_t:s0:c1,c2' }
    })
    const { code, stderr } = await runtime.call('run', '--bundle', bundle, 'c')
    t.equal(code, 1, name)
    t.match(stderr, /selinux label is specified in config, but selinux is disabled or not supported/, name)
    t.equal((await runtime.call('state', 'c')).code, 1, 'nothing is left of it')
  }
})

t.test('a profile where there is no AppArmor', { skip: isApparmorOn() && 'there is AppArmor' }, async (t) => {
  for (const name of ['runc', 'podling-oci'] as const) {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      runs('true')(spec)
      spec.process = { ...spec.process, apparmorProfile: 'some-profile' }
    })
    const { code, stderr } = await runtime.call('run', '--bundle', bundle, 'c')
    t.equal(code, 1, name)
    t.match(stderr, /unable to apply apparmor profile/, name)
    t.equal((await runtime.call('state', 'c')).code, 1, 'nothing is left of it')
  }
})
