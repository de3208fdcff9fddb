import t from 'tap'
import { PodlingError } from '../../lib/errors.js'
import { errorOf, plainError } from '../../lib/storage/plain-error.js'

const across = (error: unknown): Error => errorOf(structuredClone(plainError(error)))

t.test('an error of ours keeps its class, code and details, and what caused it', async (t) => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const error = across(new PodlingError('DISK_FULL', 'no room', { syscall: 'write', path: '/x', cause: refused }))
  t.ok(error instanceof PodlingError)
  t.match(error, { code: 'DISK_FULL', message: 'no room', syscall: 'write', path: '/x' })
  t.notOk('errno' in error, 'what is not known is absent')
  t.match(error.cause, { name: 'Error', message: 'connect', code: 'ECONNREFUSED' })
})

t.test('others are errors of no class in particular', async (t) => {
  const error = across(new TypeError('wrong'))
  t.notOk(error instanceof PodlingError)
  t.match(error, { name: 'TypeError', message: 'wrong' })
  t.match(across('just words'), { message: 'just words' })
})

t.test('a chain of causes without an end has one', async (t) => {
  const loop = new Error('loop')
  loop.cause = loop
  let length = 0
  for (let at: unknown = across(loop); at instanceof Error; at = at.cause) length++
  t.equal(length, 5)
})
