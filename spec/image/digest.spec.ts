import { createHash } from 'node:crypto'
import t from 'tap'
import { chainIds, digestHex, isDigest, sha256, shortDigest } from '../../lib/image/digest.js'

const hash = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`

t.test('digests', (t) => {
  t.equal(sha256(''), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  t.equal(shortDigest(sha256('')), 'e3b0c44298fc')
  t.equal(digestHex('sha256:ab'), 'ab')
  t.ok(isDigest(sha256('x')))
  for (const text of [
    '',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `${sha256('x')}\n`,
  ]) {
    t.notOk(isDigest(text), JSON.stringify(text))
  }
  t.end()
})

t.test('chain ids follow the recursion of the OCI image spec', (t) => {
  const [a, b, c] = [hash('a'), hash('b'), hash('c')]
  t.same(chainIds([]), [])
  t.same(chainIds([a, b, c]), [a, hash(`${a} ${b}`), hash(`${hash(`${a} ${b}`)} ${c}`)])
  t.end()
})
