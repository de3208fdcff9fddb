import t from 'tap'
import { Section } from '../../../lib/container/quadlet/entry.js'
import { selinuxEntries } from '../../../lib/container/quadlet/label-entries.js'

const lines = (option: Parameters<typeof selinuxEntries>[0]) =>
  selinuxEntries(option, new Section('Container')).map((entry) =>
    'setting' in entry ? `${entry.setting.key}=${entry.setting.value}` : entry.omitted,
  )

t.test('labels in a unit file', async (t) => {
  t.strictSame(lines({ disable: true }), ['SecurityLabelDisable=true'])
  t.strictSame(lines({ user: 'u_u', role: 'r_r', type: 't_t', fileType: 'f_t', level: 's0:c1,c2' }), [
    'PodmanArgs=--security-opt=label=user:u_u',
    'PodmanArgs=--security-opt=label=role:r_r',
    'SecurityLabelType=t_t',
    'SecurityLabelFileType=f_t',
    'SecurityLabelLevel=s0:c1,c2',
  ])
  t.strictSame(lines({}), [])
})
