import t from 'tap'
import { defaultMaskedPaths, defaultReadonlyPaths } from '../../lib/container/default-mounts.js'
import { kernelPaths, unmaskFaults } from '../../lib/container/kernel-paths.js'

t.test('what is masked and read-only', async (t) => {
  t.strictSame(kernelPaths({}), { maskedPaths: defaultMaskedPaths, readonlyPaths: defaultReadonlyPaths })
  t.strictSame(kernelPaths({ unmask: 'ALL' }), { maskedPaths: [], readonlyPaths: [] })
  t.strictSame(kernelPaths({ privileged: true }), { maskedPaths: [], readonlyPaths: [] })
  t.strictSame(kernelPaths({ privileged: true, mask: ['/etc/x'] }).maskedPaths, ['/etc/x'])
  const some = kernelPaths({ unmask: ['/proc/s*', '/sys/firmware/'], mask: ['/etc/x'] })
  t.notMatch(some.maskedPaths.join(), /\/proc\/s|firmware/)
  t.match(some.maskedPaths.join(), /\/proc\/keys.*\/sys\/fs\/selinux.*\/etc\/x/)
  t.notMatch(some.readonlyPaths.join(), /proc\/sys/)
  t.match(some.readonlyPaths.join(), /proc\/bus/)
  t.match(kernelPaths({ unmask: ['/sys/f*'] }).maskedPaths.join(), /\/sys\/fs\/selinux/, 'a star stays in one name')
})

t.test('what unmasks nothing', async (t) => {
  t.strictSame(unmaskFaults(['/proc/[a-k]*', 'all', '/proc/kcore']), [])
  t.match(unmaskFaults(['proc/kcore', '/proc/kcor']), [
    { path: 'unmask[0]', message: /must be 'ALL' or an absolute path/ },
    { path: 'unmask[1]', message: /neither masked nor read-only; what is: .*\/proc\/kcore/ },
  ])
})
