/** registries.conf: how it is read, and what names mean by it. */
import t from 'tap'
import { meanings, pullSources } from '../../../lib/image/policy/pull-sources.js'
import { addRegistriesFile, noRegistriesConfig, type RegistriesConfig } from '../../../lib/image/policy/registries.js'
import { formatReference, parseReference } from '../../../lib/image/reference.js'
import { rejectsWith } from '../../fixtures/errors.js'

const read = (...files: readonly string[]): RegistriesConfig =>
  files.reduce((config, text, index) => addRegistriesFile(config, text, `file ${String(index)}`), noRegistriesConfig)

const sources = (config: RegistriesConfig, text: string): string[] =>
  pullSources(parseReference(text), config).map(({ reference, insecure, isMirror }) => {
    return `${formatReference(reference)}${isMirror ? ' mirror' : ''}${insecure ? ' insecure' : ''}`
  })

const digest = `sha256:${'a'.repeat(64)}`

t.test('mirrors and places', async (t) => {
  const config = read(`
    [[registry]]
    location = "docker.io"
    [[registry.mirror]]
    location = "mirror:5000/hub"
    insecure = true
    [[registry.mirror]]
    location = "digests.example.com"
    pull-from-mirror = "digest-only"
    [[registry.mirror]]
    location = "tags.example.com"
    pull-from-mirror = "tag-only"

    [[registry]]
    prefix = "docker.io/library"
    location = "inner.example.com/official"
    insecure = true

    [[registry]]
    prefix = "*.lab.example.com"
    location = "lab:5000"

    [[registry]]
    prefix = "lab.example.com/old"
    location = "new.example.com/old"
    mirror-by-digest-only = true
    [[registry.mirror]]
    location = "other.example.com/old"
  `)
  t.same(sources(config, 'org/app:1'), ['mirror:5000/hub/org/app:1 mirror insecure', 'tags.example.com/org/app:1 mirror', 'docker.io/org/app:1']) // prettier-ignore
  t.same(sources(config, `org/app@${digest}`), [`mirror:5000/hub/org/app@${digest} mirror insecure`, `digests.example.com/org/app@${digest} mirror`, `docker.io/org/app@${digest}`]) // prettier-ignore
  t.same(sources(config, 'debian:12'), ['inner.example.com/official/debian:12 insecure'], 'the longest prefix')
  t.same(sources(config, 'docker.io/librarian/x:1').length, 3, 'a prefix ends where a part ends')
  t.same(sources(config, 'a.b.lab.example.com/x:1'), ['lab:5000/x:1'])
  t.same(sources(config, 'a.lab.example.com:5000/x:1'), ['lab:5000/x:1'])
  t.same(sources(config, 'xlab.example.com/x:1'), ['xlab.example.com/x:1'])
  t.same(sources(config, 'lab.example.com/old:1'), ['new.example.com/old:1'])
  t.same(sources(config, `lab.example.com/old@${digest}`), [`other.example.com/old@${digest} mirror`, `new.example.com/old@${digest}`]) // prettier-ignore
})

t.test('blocked', async (t) => {
  const config = read('[[registry]]\nlocation = "evil.example.com"\nblocked = true\n[[registry]]\nprefix = "evil.example.com/good"\nlocation = "evil.example.com/good"') // prettier-ignore
  await rejectsWith(
    t,
    () => sources(config, 'evil.example.com/x'),
    'IMAGE_FORBIDDEN',
    /evil\.example\.com is blocked by file 0/,
  )
  t.same(sources(config, 'evil.example.com/good/x:1'), ['evil.example.com/good/x:1'])
})

t.test('short names', async (t) => {
  const means = (config: RegistriesConfig, text: string): string[] => meanings(text, config).map(formatReference)
  t.same(means(noRegistriesConfig, 'debian'), ['docker.io/library/debian:latest'])
  const aliases = '[aliases]\n"fedora" = "registry.fedoraproject.org/fedora"\n"team/app" = "localhost:5000/app"'
  t.same(means(read(aliases), 'fedora:40'), ['registry.fedoraproject.org/fedora:40'])
  t.same(means(read(aliases), `team/app@${digest}`), [`localhost:5000/app@${digest}`])
  t.same(means(read(aliases, '[aliases]\n"fedora" = ""'), 'fedora'), ['docker.io/library/fedora:latest'])
  t.same(means(read(aliases), 'docker.io/fedora'), ['docker.io/library/fedora:latest'], 'a whole name is none')
  const one = 'unqualified-search-registries = ["quay.io"]'
  t.same(means(read(one), 'org/app'), ['quay.io/org/app:latest'])
  const two = 'unqualified-search-registries = ["quay.io", "docker.io"]'
  await rejectsWith(
    t,
    () => means(read(two), 'app'),
    'INVALID_REFERENCE',
    /could be quay\.io\/app:latest or docker\.io\/library\/app:latest/,
  )
  t.same(means(read(two, 'short-name-mode = "permissive"'), 'app'), [
    'quay.io/app:latest',
    'docker.io/library/app:latest',
  ])
  t.same(means(read(two, one), 'app'), ['quay.io/app:latest'], 'a later file counts')
  await rejectsWith(t, () => means(read(one), 'Not Good'), 'INVALID_REFERENCE')
})

t.test('credential helpers', (t) => {
  t.equal(read('').credentialHelpers, undefined)
  const one = 'credential-helpers = ["containers-auth.json", "pass"]'
  t.same(read(one).credentialHelpers, ['containers-auth.json', 'pass'])
  t.same(read(one, '').credentialHelpers, ['containers-auth.json', 'pass'])
  t.same(read(one, 'credential-helpers = []').credentialHelpers, [], 'a later file counts')
  t.throws(() => read('credential-helpers = "pass"'), { code: 'POLICY_INVALID' })
  t.end()
})

t.test('files that are not understood', async (t) => {
  for (const [text, message] of [
    ['[[registry', /file 0: is not TOML/],
    ['[registries.search]\nregistries = ["x"]', /version 1 of the format/],
    ['[[registry]]\nlocation = "x.example.com"\nblokced = true', /registry\[0\]\.blokced: is not known/],
    ['[[registry]]\nblocked = true', /neither a prefix nor a location/],
    ['[[registry]]\nlocation = "https://x.example.com"', /without a scheme/],
    ['[[registry]]\nlocation = "x.example.com/../y"', /without a scheme/],
    ['[[registry]]\nlocation = "x"\nblocked = "yes"', /must be true or false/],
    ['short-name-mode = "loose"', /must be enforcing, permissive, disabled/],
    [
      '[[registry]]\nlocation = "x"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "y"\npull-from-mirror = "all"',
      /contradicts/,
    ],
    [
      '[[registry]]\nlocation = "x"\n[[registry.mirror]]\nlocation = "y"\npull-from-mirror = "some"',
      /must be all, digest-only, tag-only/,
    ],
    ['unqualified-search-registries = "x"', /must be a list/],
  ] as const) {
    await rejectsWith(t, () => read(text), 'POLICY_INVALID', message)
  }
})
