import t from 'tap'
import { PodlingError } from '../lib/errors.js'

t.test('an error carries what it was given and nothing else', (t) => {
  const cause = new Error('beneath')
  const error = new PodlingError('DISK_FULL', 'write /x: ENOSPC', { cause, syscall: 'write', errno: 'ENOSPC' })
  t.match(error, { name: 'PodlingError', code: 'DISK_FULL', message: 'write /x: ENOSPC', syscall: 'write', cause })
  t.ok(error instanceof Error)
  t.notOk('path' in error, 'a detail that is not known is absent, not undefined')
  t.notOk('cause' in new PodlingError('ABORTED', 'stopped'))
  t.end()
})
