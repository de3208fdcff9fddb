import t from 'tap'
import { parseImageDocument } from '../../lib/image/image-config.js'
import { parseManifest } from '../../lib/image/manifest.js'
import { mediaTypes } from '../../lib/image/media-types.js'
import { rejectsWith } from '../fixtures/errors.js'

const digest = `sha256:${'0a'.repeat(32)}`
const layer = { mediaType: mediaTypes.ociLayerGzip, digest, size: 10 }
const config = { mediaType: mediaTypes.ociConfig, digest, size: 20 }
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] }
const bytes = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const read = (value: unknown, type?: string): ReturnType<typeof parseManifest> =>
  parseManifest(bytes(value), 'it', type)

t.test('manifests of both families', (t) => {
  t.same(read(manifest), {
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [{ ...layer, compression: 'gzip' }],
    annotations: {},
  })
  const docker = {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config: { ...config, mediaType: mediaTypes.dockerConfig },
    layers: [
      { ...layer, mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip' },
      {
        ...layer,
        mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
        urls: ['http://169.254.169.254/'],
      },
    ],
  }
  t.match(read(docker), { kind: 'manifest', layers: [{ compression: 'gzip' }, { compression: 'gzip' }] })
  t.match(
    read({ ...manifest, layers: null, annotations: null }),
    { layers: [] },
    'null is what Go writes for an empty list',
  )
  t.match(read({ ...manifest, layers: [{ ...layer, mediaType: mediaTypes.ociLayerZstd }] }), {
    layers: [{ compression: 'zstd' }],
  })
  t.end()
})

t.test('an index', (t) => {
  const entry = {
    mediaType: mediaTypes.ociManifest,
    digest,
    size: 5,
    platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
  }
  t.match(read({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [entry] }), {
    kind: 'index',
    manifests: [entry],
  })
  t.match(read({ schemaVersion: 2, mediaType: mediaTypes.dockerIndex, manifests: [entry] }), { kind: 'index' })
  t.end()
})

t.test('without a media type, the transport and then the shape tell', (t) => {
  const { mediaType: _, ...bare } = manifest
  t.match(read(bare), { kind: 'manifest', mediaType: mediaTypes.ociManifest })
  t.match(read(bare, `${mediaTypes.dockerManifest}; charset=utf-8`), { mediaType: mediaTypes.dockerManifest })
  t.match(read(bare, 'text/plain'), { kind: 'manifest' })
  t.match(read({ schemaVersion: 2, manifests: [] }), { kind: 'index' })
  t.end()
})

t.test('what breaks the spec, with its place', async (t) => {
  const cases: [unknown, RegExp][] = [
    ['', /it: is not JSON/],
    ['[]', /it: must be an object, got \[\]/],
    ['null', /must be an object/],
    [Buffer.from([0x22, 0xff, 0x22]).toString('latin1') + '{', /not JSON/],
    [{ ...manifest, schemaVersion: 3 }, /schemaVersion: must be 2/],
    [{ ...manifest, schemaVersion: '2' }, /schemaVersion: must be an integer/],
    [{ ...manifest, layers: {} }, /layers: must be a list/],
    [
      { ...manifest, layers: [{ ...layer, size: -1 }] },
      /layers\[0\]\.size: must be an integer from 0 to 2\^53-1, got -1/,
    ],
    [{ ...manifest, layers: [{ ...layer, size: 1.5 }] }, /size/],
    [{ ...manifest, layers: [{ ...layer, size: '10' }] }, /layers\[0\]\.size: .* got "10"/],
    [JSON.stringify(manifest).replace('"size":10', '"size":9007199254740993'), /layers\[0\]\.size/],
    [{ ...manifest, layers: [{ ...layer, digest: '../../etc/passwd' }] }, /layers\[0\]\.digest: must be sha256/],
    [{ ...manifest, layers: [{ ...layer, digest: `sha512:${'a'.repeat(128)}` }] }, /digest: must be sha256/],
    [{ ...manifest, layers: [null] }, /layers\[0\]: must be an object, got null/],
    [{ ...manifest, layers: Array(501).fill(layer) }, /layers: has 501 elements/],
    [{ ...manifest, config: undefined }, /config: must be an object, got nothing/],
    [{ ...manifest, manifests: [] }, /may not be an index at the same time/],
    [{ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], layers: [] }, /may not be a manifest/],
    [{ schemaVersion: 2 }, /neither an image manifest nor an index/],
    [{ ...manifest, annotations: { a: 1 } }, /annotations\["a"\]: must be a string/],
  ]
  for (const [value, message] of cases) await rejectsWith(t, () => read(value), 'IMAGE_INVALID', message)
  await rejectsWith(t, () => read(' '.repeat(4 * 1024 * 1024 + 1)), 'IMAGE_INVALID', /at most 4194304 are read/)
})

t.test('what is no image that can run', async (t) => {
  const cases: [unknown, RegExp][] = [
    [{ schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [] }, /schema 1/],
    [{ ...manifest, mediaType: mediaTypes.dockerSchema1Signed }, /schema 1/],
    [{ ...manifest, mediaType: 'application/x' }, /application\/x is not an image manifest/],
    [{ ...manifest, config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } }, /artifact/],
    [{ ...manifest, layers: [{ ...layer, mediaType: 'application/zip' }] }, /application\/zip/],
    [{ ...manifest, layers: [{ ...layer, mediaType: `${mediaTypes.ociLayerGzip}+encrypted` }] }, /encrypted/],
  ]
  for (const [value, message] of cases) await rejectsWith(t, () => read(value), 'MEDIA_TYPE_UNSUPPORTED', message)
})

t.test('a key named __proto__ is a key', (t) => {
  const text = JSON.stringify({ ...manifest, annotations: {} }).replace(
    '"annotations":{}',
    '"annotations":{"__proto__":"x"}',
  )
  const result = read(text)
  t.ok(result.kind === 'manifest' && Object.hasOwn(result.annotations, '__proto__'))
  t.equal(({} as Record<string, unknown>)['x'], undefined)
  t.end()
})

const document = {
  created: '2024-05-01T12:00:00.123456789Z',
  author: 'me',
  architecture: 'arm64',
  variant: 'v8',
  os: 'linux',
  config: {
    User: '1000:1000',
    Env: ['PATH=/bin', 'EMPTY='],
    Entrypoint: ['/bin/app'],
    Cmd: ['--serve'],
    WorkingDir: '/srv',
    ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8080': {} },
    Volumes: { '/data': {} },
    Labels: { a: 'b' },
    StopSignal: 'SIGINT',
    Shell: ['/bin/sh', '-c'],
    Healthcheck: { Test: ['CMD', 'true'], Interval: 30_000_000_000, Timeout: 5e8, Retries: 3 },
  },
  rootfs: { type: 'layers', diff_ids: [digest] },
  history: [{ created: '2024-05-01T12:00:00Z', created_by: 'RUN x', empty_layer: true }, {}],
}

t.test('an image config', (t) => {
  t.same(parseImageDocument(bytes(document), 'it'), {
    platform: { os: 'linux', architecture: 'arm64' },
    created: new Date('2024-05-01T12:00:00.123Z'),
    author: 'me',
    config: {
      user: '1000:1000',
      env: ['PATH=/bin', 'EMPTY='],
      entrypoint: ['/bin/app'],
      cmd: ['--serve'],
      workingDir: '/srv',
      exposedPorts: [
        { port: 8080, protocol: 'tcp' },
        { port: 80, protocol: 'tcp' },
        { port: 53, protocol: 'udp' },
      ],
      volumes: ['/data'],
      labels: { a: 'b' },
      stopSignal: 'SIGINT',
      healthcheck: { test: ['CMD', 'true'], interval: 30_000, timeout: 500, retries: 3 },
      shell: ['/bin/sh', '-c'],
    },
    diffIds: [digest],
    history: [
      { created: new Date('2024-05-01T12:00:00Z'), createdBy: 'RUN x', emptyLayer: true },
      { emptyLayer: false },
    ],
  })
  const least = {
    os: 'linux',
    architecture: 'amd64',
    created: '0001-01-01T00:00:00Z',
    config: { Cmd: null, Volumes: null },
    rootfs: { type: 'layers', diff_ids: null },
  }
  t.match(parseImageDocument(bytes(least), 'it'), {
    created: undefined,
    diffIds: [],
    config: { user: '', cmd: [], volumes: [] },
  })
  t.end()
})

t.test('a config that breaks the spec', async (t) => {
  const cases: [unknown, RegExp][] = [
    [{ ...document, os: undefined }, /os: must be a string, got nothing/],
    [{ ...document, config: { Env: ['x'] } }, /config\.Env\[0\]: must be KEY=value/],
    [{ ...document, config: { Env: ['=x'] } }, /config\.Env\[0\]/],
    [{ ...document, config: { Cmd: ['a\0b'] } }, /config\.Cmd\[0\]: has a NUL/],
    [{ ...document, config: { Cmd: 'sh' } }, /config\.Cmd: must be a list/],
    [{ ...document, config: { ExposedPorts: { '99999/tcp': {} } } }, /ExposedPorts\["99999\/tcp"\]/],
    [{ ...document, config: { Labels: { a: [] } } }, /Labels\["a"\]/],
    [{ ...document, rootfs: { type: 'other' } }, /rootfs\.type/],
    [{ ...document, rootfs: { type: 'layers', diff_ids: ['x'] } }, /rootfs\.diff_ids\[0\]/],
    [{ ...document, rootfs: undefined }, /rootfs: must be an object/],
    [{ ...document, created: 'yesterday' }, /created: must be a time/],
  ]
  for (const [value, message] of cases) {
    await rejectsWith(t, () => parseImageDocument(bytes(value), 'it'), 'IMAGE_INVALID', message)
  }
})
