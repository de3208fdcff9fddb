import t from 'tap'
import {
  formatReference,
  isLoopback,
  parseReference,
  repositoryName,
  splitRegistry,
} from '../../lib/image/reference.js'
import { rejectsWith } from '../fixtures/errors.js'

const digest = `sha256:${'ab'.repeat(32)}`

t.test('parts and defaults', (t) => {
  const cases: [string, string][] = [
    ['debian', 'docker.io/library/debian:latest'],
    ['debian:12', 'docker.io/library/debian:12'],
    ['user/app', 'docker.io/user/app:latest'],
    ['index.docker.io/debian', 'docker.io/library/debian:latest'],
    ['docker.io/a/b/c:x', 'docker.io/a/b/c:x'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000', 'docker.io/library/localhost:5000'],
    ['localhost:5000/app:1', 'localhost:5000/app:1'],
    ['127.0.0.1:5000/a_b/c__d/e-f---g.h:V1.0-rc_1', '127.0.0.1:5000/a_b/c__d/e-f---g.h:V1.0-rc_1'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    ['[fd00::2]/app', '[fd00::2]/app:latest'],
    ['UPPER.example.com/app', 'UPPER.example.com/app:latest'],
    [`debian@${digest}`, `docker.io/library/debian@${digest}`],
    [`debian:12@${digest}`, `docker.io/library/debian:12@${digest}`],
    [`app:${'t'.repeat(128)}`, `docker.io/library/app:${'t'.repeat(128)}`],
  ]
  for (const [text, whole] of cases) {
    const reference = parseReference(text)
    t.equal(formatReference(reference), whole)
    t.same(parseReference(whole), reference, 'the whole form means the same')
  }
  t.same(parseReference('[::1]:5000/a/b:x'), { registry: '[::1]:5000', repository: 'a/b', tag: 'x' })
  t.equal(repositoryName(parseReference('debian:12')), 'docker.io/library/debian')
  t.end()
})

t.test('what is wrong, and with which part', async (t) => {
  const cases: [string, RegExp][] = [
    ['', /is empty/],
    ['a b', /" " at position 2/],
    ['äpp', /printable ASCII/],
    ['app\n', /position 4/],
    ['https://example.com/app', /without a scheme/],
    ['Debian', /repository "Debian" must be in lower case: "debian"/],
    ['example.com/App:1', /must be in lower case: "app"/],
    ['example.com/', /repository is missing/],
    ['a//b', /empty part between slashes/],
    ['/app', /empty part/],
    ['../app', /registry host "\.\."/],
    ['a/../b', /the part "\.\."/],
    ['-a/b', /the part "-a"/],
    ['a___b', /the part "a___b"/],
    ['app:', /tag after : is missing/],
    ['app:-x', /tag "-x"/],
    [`app:${'t'.repeat(129)}`, /tag has 129 characters/],
    ['app@', /digest after @ is missing/],
    ['app@abc', /no algorithm/],
    ['app@sha512:abc', /algorithm "sha512"/],
    ['app@sha256:abc', /3 hex digits; sha256 has 64/],
    [`app@sha256:${'g'.repeat(64)}`, /not hex/],
    [`app@sha256:${'AB'.repeat(32)}`, /lower case/],
    ['host:0/app', /port "0" .* 1..65535/],
    ['host:70000/app', /port "70000"/],
    ['host:x/app', /port "x"/],
    ['::1/app', /brackets/],
    ['[::1/app', /brackets/],
    ['[zz]:1/app', /registry host "\[zz\]"/],
    ['a_b.c/app', /registry host "a_b.c"/],
    ['ab'.repeat(32), /64 hex digits/],
    [`example.com/${'a'.repeat(250)}`, /the name has 262 characters/],
    ['a'.repeat(2000), /2000 characters/],
  ]
  for (const [text, message] of cases) {
    await rejectsWith(t, () => parseReference(text), 'INVALID_REFERENCE', message)
  }
  await rejectsWith(t, () => parseReference(undefined as never), 'INVALID_REFERENCE', /must be a string, got undefined/)
})

t.test('registries', (t) => {
  t.same(splitRegistry('[::1]:5000'), { host: '::1', port: 5000 })
  t.same(splitRegistry('example.com'), { host: 'example.com' })
  for (const registry of ['localhost', 'localhost:5000', '127.0.0.1:1', '127.9.9.9', '[::1]:5000', 'app.localhost']) {
    t.ok(isLoopback(registry), registry)
  }
  for (const registry of ['docker.io', 'localhost.example.com', '128.0.0.1', '127.0.0.1.example.com', '[::2]']) {
    t.notOk(isLoopback(registry), registry)
  }
  t.end()
})
