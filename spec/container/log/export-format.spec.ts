import t from 'tap'
import { ExportReader } from '../../../lib/container/log/export-format.js'

/** A field whose value may hold newlines. */
function binary(name: string, value: Buffer): Buffer {
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(value.length))
  return Buffer.concat([Buffer.from(`${name}\n`), size, value, Buffer.from('\n')])
}

t.test('entries, whatever pieces they come in', async (t) => {
  const odd = Buffer.from([0x0a, 0x0a, 0xff, 0x00, 0x3d])
  const text = Buffer.concat([
    Buffer.from('__CURSOR=s=1;i=2\nMESSAGE=a=b\n\n'),
    Buffer.from('__CURSOR=c2\n'),
    binary('MESSAGE', odd),
    Buffer.from('PRIORITY=3\n\n\nMESSAGE=not yet'),
  ])
  for (const size of [1, 3, 7, text.length]) {
    const reader = new ExportReader()
    const got = []
    for (let at = 0; at < text.length; at += size) got.push(...reader.push(text.subarray(at, at + size)))
    t.strictSame(
      got.map((fields) => [...fields].map(([name, value]) => [name, value.toString('latin1')])),
      [
        [
          ['__CURSOR', 's=1;i=2'],
          ['MESSAGE', 'a=b'],
        ],
        [
          ['__CURSOR', 'c2'],
          ['MESSAGE', odd.toString('latin1')],
          ['PRIORITY', '3'],
        ],
      ],
      `pieces of ${String(size)}`,
    )
  }
})
