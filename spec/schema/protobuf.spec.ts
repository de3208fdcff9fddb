/** CSI's messages beside another implementation's, and hostile bytes. */
import { fileURLToPath } from 'node:url'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import t from 'tap'
import { calls } from '../../lib/storage/volumes/csi/messages.js'
import {
  decodeMessage,
  encodeMessage,
  ProtobufError,
  type Message,
  type MessageSchema,
} from '../../lib/schema/protobuf.js'
import { randomSource } from '../fixtures/random.js'

const proto = fileURLToPath(new URL('../../../spec/fixtures/csi.proto', import.meta.url))
const loaded = loadSync(proto, { longs: Number, defaults: false })
const random = randomSource(20260417)

/** A message with something in every field. */
function sample(schema: MessageSchema): Message {
  return Object.fromEntries(
    Object.entries(schema).map(([name, { kind, repeated }]) => {
      const one = (): unknown => {
        if (kind === 'map') return { [`key ${String(random.below(100))}`]: 'wért', empty: '' }
        if (typeof kind === 'object') return sample(kind)
        if (kind === 'string') return `text ü ${String(random.below(1e6))}`
        return kind === 'bool' ? true : 1 + random.below(kind === 'enum' ? 7 : 2 ** 48)
      }
      return [name, repeated === true ? [one(), one()] : one()]
    }),
  )
}

for (const [name, { service, request, response }] of Object.entries(calls)) {
  t.test(name, (t) => {
    const method = (loaded[`csi.v1.${service}`] as ServiceDefinition)[name] as MethodDefinition<object, object>
    for (let i = 0; i < 20; i++) {
      const asked = sample(request)
      const bytes = encodeMessage(request, asked)
      t.same(method.requestDeserialize(bytes), asked, 'what we write, it reads')
      t.same(decodeMessage(request, bytes), asked)
      const answered = sample(response)
      t.same(decodeMessage(response, method.responseSerialize(answered)), answered, 'what it writes, we read')
    }
    t.end()
  })
}

t.test('fields that nobody knows are passed over', (t) => {
  const { response } = calls.GetPluginInfo
  const method = (loaded['csi.v1.Identity'] as ServiceDefinition)['GetPluginInfo'] as MethodDefinition<object, object>
  const bytes = method.responseSerialize({ name: 'x', vendorVersion: '1', manifest: { url: 'y' } })
  t.same(decodeMessage(response, bytes), { name: 'x', vendorVersion: '1' })
  t.same(
    decodeMessage(response, Buffer.from('4d00000000' + '510000000000000000' + '7a0161', 'hex')),
    {},
    'fixed32, fixed64, bytes',
  )
  t.end()
})

t.test('rubbish is refused, whatever it is', (t) => {
  const { response } = calls.CreateVolume
  const whole = encodeMessage(response, sample(response))
  let refused = 0
  for (let i = 0; i < 5000; i++) {
    const bytes =
      i % 2 === 0 ? Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256))) : Buffer.from(whole)
    if (i % 2 === 1) bytes[random.below(bytes.length)] = random.below(256)
    try {
      decodeMessage(response, i % 3 === 0 ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes)
    } catch (error) {
      if (!(error instanceof ProtobufError)) t.fail(String(error))
      refused++
    }
  }
  t.ok(refused > 1000, `${String(refused)} of 5000`)
  t.throws(() => decodeMessage(response, Buffer.from('0d00000000', 'hex')), { message: /fixed size/ })
  t.throws(
    () => decodeMessage(response, Buffer.from('0affffffffffffffff7f', 'hex')),
    { message: /cut off/ },
    'a length of 2^63',
  )
  t.end()
})
