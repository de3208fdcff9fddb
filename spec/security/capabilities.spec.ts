import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  capabilitiesOf,
  capabilityMask,
  capabilityName,
  capabilityNames,
  defaultCapabilities,
  mergeCapabilities,
} from '../../lib/security/capabilities.js'

t.test('numbers are those of the kernel’s header', (t) => {
  const header = readFileSync('/usr/include/linux/capability.h', 'utf8')
  const defined = [...header.matchAll(/^#define (CAP_\w+)\s+(\d+)$/gm)].map(([, name, bit]) => [name, Number(bit)])
  t.ok(defined.length > 35)
  t.same(
    defined.filter(([name]) => name !== 'CAP_LAST_CAP'),
    capabilityNames.map((name, bit) => [name, bit]),
  )
  t.end()
})

t.test('names: short, long, in any case', (t) => {
  for (const text of ['net_admin', 'NET_ADMIN', 'CAP_NET_ADMIN', 'cap_net_admin', ' Net_Admin ']) {
    t.equal(capabilityName(text), 'CAP_NET_ADMIN')
  }
  t.throws(() => capabilityName('NET_ADMN'), {
    code: 'CAPABILITY_UNKNOWN',
    message: `'NET_ADMN' is no capability; did you mean NET_ADMIN?`,
  })
  t.throws(() => capabilityName('CAP_SYSADMIN'), { message: /did you mean SYS_ADMIN\?/ })
  t.throws(() => capabilityName('quux'), { message: /capabilities\(7\) lists them/ })
  t.throws(() => capabilityMask(['CHOWN', 'toString']), { code: 'CAPABILITY_UNKNOWN' })
  t.end()
})

t.test('sets to masks and back', (t) => {
  t.equal(capabilityMask([]), 0n)
  t.equal(capabilityMask(['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE']), 1n | (1n << 40n))
  // The CapBnd that a container of Podman's has.
  t.equal(capabilityMask(defaultCapabilities), 0x800405fbn)
  t.same(capabilitiesOf(0x800405fbn).sort(), [...defaultCapabilities].sort())
  t.same(capabilitiesOf(1n << 63n), [])
  t.end()
})

t.test('adding and dropping', (t) => {
  const merge = (add: string[], drop: string[]) => mergeCapabilities({ add, drop })
  t.same(merge([], []), [...defaultCapabilities].sort())
  t.same(merge([], ['ALL']), [])
  t.same(merge(['chown', 'net_raw'], ['all']), ['CAP_CHOWN', 'CAP_NET_RAW'])
  t.same(merge(['ALL'], ['CHOWN']), capabilityNames.filter((name) => name !== 'CAP_CHOWN').sort())
  t.notOk(merge([], ['KILL']).includes('CAP_KILL'))
  t.same(
    mergeCapabilities({ add: ['SYS_TIME', 'CHOWN'], drop: ['ALL'], available: ['CAP_CHOWN'] }),
    ['CAP_CHOWN'],
    'no more than there is',
  )
  t.end()
})
