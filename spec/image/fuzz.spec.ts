/** The readers of strangers' JSON: whatever comes, they succeed or throw a PodlingError. Seeded, so a failure repeats. */
import t from 'tap'
import { PodlingError } from '../../lib/errors.js'
import { parseChallenges } from '../../lib/image/challenge.js'
import { parseImageDocument } from '../../lib/image/image-config.js'
import { parseManifest } from '../../lib/image/manifest.js'
import { parseReference } from '../../lib/image/reference.js'
import { fuzz } from '../fixtures/fuzz.js'
import type { RandomSource } from '../fixtures/random.js'

const digest = `sha256:${'0a'.repeat(32)}`
const descriptor = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  digest,
  size: 10,
  annotations: { a: 'b' },
}
const seeds: unknown[] = [
  {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { ...descriptor, mediaType: 'application/vnd.oci.image.config.v1+json' },
    layers: [descriptor, descriptor],
    annotations: {},
  },
  {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'amd64', variant: 'v2' } }],
  },
  {
    created: '2024-05-01T12:00:00Z',
    os: 'linux',
    architecture: 'amd64',
    config: {
      Env: ['A=b'],
      Cmd: ['x'],
      ExposedPorts: { '80/tcp': {} },
      Volumes: { '/x': {} },
      Labels: {},
      Healthcheck: { Test: ['NONE'], Interval: 1 },
    },
    rootfs: { type: 'layers', diff_ids: [digest] },
    history: [{ created_by: 'x' }],
  },
]
const strange: unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e308,
  '',
  '\0',
  'x'.repeat(300),
  [],
  {},
  [[]],
  { __proto__: null },
  '2',
  2 ** 53,
  digest,
  'a=b',
  '99/tcp',
]

t.test('mutated documents', async (t) => {
  let [good, bad] = [0, 0]
  await fuzz(t, 6000, (random) => {
    const mutate = (value: unknown): unknown => {
      if (random.chance(0.04)) return random.pick(strange)
      if (Array.isArray(value)) return value.map(mutate)
      if (typeof value !== 'object' || value === null) return value
      const entries = Object.entries(value).filter(() => !random.chance(0.03))
      if (random.chance(0.05))
        entries.push([
          random.pick(['__proto__', 'constructor', 'size', 'layers', 'manifests', 'os']),
          random.pick(strange),
        ])
      return Object.fromEntries(entries.map(([key, one]) => [key, mutate(one)]))
    }
    let bytes: Buffer = Buffer.from(JSON.stringify(mutate(random.pick(seeds))))
    if (random.chance(0.2)) bytes = damage(bytes, random)
    for (const read of [parseManifest, parseImageDocument]) {
      try {
        read(bytes, 'it')
        good += 1
      } catch (error) {
        bad += 1
        if (!(error instanceof PodlingError)) throw new Error(bytes.toString(), { cause: error })
      }
    }
  })
  t.ok(good > 100, `${String(good)} were good`)
  t.ok(bad > 100, `${String(bad)} were refused`)
})

t.test('deep nesting', (t) => {
  for (const text of ['['.repeat(2_000_000), `${'{"a":'.repeat(500_000)}1${'}'.repeat(500_000)}`]) {
    t.throws(() => parseManifest(Buffer.from(text), 'it'), { code: 'IMAGE_INVALID' })
  }
  t.end()
})

t.test('references and challenges', async (t) => {
  const alphabet = 'aA0-._/:@[]"\\=, \u00e9bearer realm="x"'
  await fuzz(t, 10_000, (random) => {
    const text = Array.from({ length: random.below(40) }, () => alphabet[random.below(alphabet.length)]).join('')
    parseChallenges(text)
    try {
      parseReference(text)
    } catch (error) {
      if (!(error instanceof PodlingError)) throw new Error(text, { cause: error })
    }
  })
  t.pass('all were read or refused')
})

function damage(bytes: Buffer, random: RandomSource): Buffer {
  const copy = Buffer.from(bytes)
  for (let count = random.below(4) + 1; count > 0; count -= 1) copy[random.below(copy.length)] = random.below(256)
  return random.chance(0.3) ? copy.subarray(0, random.below(copy.length)) : copy
}
