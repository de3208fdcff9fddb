/** The rules of a machine, applied: policy.json beside skopeo's reading of it, mirrors and blocked registries for real. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { ImagePolicy } from '../../../lib/image/policy/image-policy.js'
import { temporaryDirectory } from '../../fixtures/directory.js'
import { rejectsWith } from '../../fixtures/errors.js'
import { imageWorld, type ImageWorld } from '../../fixtures/image-world.js'
import { makeLayout, makeTar, pushLayout, skopeoCopy } from '../../fixtures/images.js'
import { startRegistry } from '../../fixtures/registry.js'
import { needs } from '../../peers.js'

const run = promisify(execFile)

interface Ruled extends ImageWorld {
  readonly policy: string
  readonly registries: string
}

async function ruled(t: Test): Promise<Ruled> {
  const rules = await temporaryDirectory(t, 'podling-rules-')
  const files = { policy: join(rules, 'policy.json'), registries: join(rules, 'registries.conf') }
  return { ...(await imageWorld(t, { policy: new ImagePolicy(files) })), ...files }
}

t.test('policy.json, as skopeo reads it', needs('skopeo', 'docker-registry'), async (t) => {
  const { host } = await startRegistry(t)
  const world = await ruled(t)
  const layout = await makeLayout(await temporaryDirectory(t), [
    { layers: [await makeTar([{ name: 'a', content: 'a' }])] },
  ])
  await pushLayout(layout, `${host}/team/app:1`)
  const accept = [{ type: 'insecureAcceptAnything' }]
  const reject = [{ type: 'reject' }]
  const signed = [{ type: 'signedBy', keyType: 'GPGKeys', keyData: Buffer.from('x').toString('base64') }]
  const docker = (scopes: object): object => ({ default: reject, transports: { docker: scopes } })
  const cases: [object, boolean][] = [
    [{ default: accept }, true],
    [{ default: reject }, false],
    [{ default: signed }, false],
    [{ default: [...accept, ...reject] }, false],
    [docker({ [host]: accept }), true],
    [docker({ [`${host}/team`]: accept }), true],
    [docker({ [`${host}/team/app`]: accept }), true],
    [docker({ [`${host}/team/app:1`]: accept }), true],
    [docker({ [`${host}/team/app:2`]: accept }), false],
    [docker({ [`${host}/tea`]: accept }), false],
    [docker({ [host]: accept, [`${host}/team`]: reject }), false],
    [docker({ [host]: reject, [`${host}/team/app`]: accept }), true],
    [docker({ '': accept }), true],
    [docker({ '': accept, [host]: signed }), false],
    [{ default: accept, transports: { docker: { [host]: reject } } }, false],
    [{ default: accept, transports: { oci: { '': reject } } }, true],
  ]
  for (const [policy, allowed] of cases) {
    await writeFile(world.policy, JSON.stringify(policy))
    const copy = join(await temporaryDirectory(t), 'copy')
    const argv = [
      '--policy',
      world.policy,
      'copy',
      '-q',
      '--src-tls-verify=false',
      `docker://${host}/team/app:1`,
      `oci:${copy}`,
    ]
    const theirs = await run('skopeo', argv).then(() => true, () => false) // prettier-ignore
    t.equal(theirs, allowed, `skopeo: ${JSON.stringify(policy)}`)
    if (allowed) await world.images.remove(await world.images.pull(`${host}/team/app:1`))
    else await rejectsWith(t, () => world.images.pull(`${host}/team/app:1`), 'IMAGE_FORBIDDEN', /policy\.json/)
  }
  await rejectsWith(t, () => world.images.pull(`${host}/x@sha256:${'0'.repeat(64)}`), 'IMAGE_NOT_FOUND')

  await t.test('signatures can not be verified, and that is said', async (t) => {
    await writeFile(world.policy, JSON.stringify({ default: [{ type: 'sigstoreSigned', keyPath: '/x' }] }))
    await rejectsWith(
      t,
      () => world.images.pull(`${host}/team/app:1`),
      'IMAGE_FORBIDDEN',
      /wants a signature \(sigstoreSigned\), which Podling can't verify yet/,
    )
  })

  await t.test('archives', async (t) => {
    const archive = join(await temporaryDirectory(t), 'app.tar')
    await skopeoCopy(`oci:${layout.directory}:latest`, `docker-archive:${archive}:app:1`)
    const scopes = { 'docker-archive': { [archive]: accept }, oci: { [join(layout.directory, '..')]: accept } }
    await writeFile(world.policy, JSON.stringify({ default: reject, transports: scopes }))
    t.ok(await world.images.load(archive))
    t.ok(await world.images.load(layout.directory))
    await writeFile(world.policy, JSON.stringify({ default: reject }))
    await rejectsWith(t, () => world.images.load(archive), 'IMAGE_FORBIDDEN', /app\.tar/)
    await rejectsWith(t, () => world.images.load(layout.directory), 'IMAGE_FORBIDDEN')
  })

  await t.test('files that are not understood', async (t) => {
    for (const [text, message] of [
      ['{', /is not JSON/],
      ['{}', /default: must be a list of at least one/],
      ['{"default":[]}', /at least one requirement/],
      ['{"default":[{"type":"trustMe"}]}', /default\[0\]\.type: "trustMe" is no requirement/],
      ['{"default":[{"type":"reject"}],"transport":{}}', /transport: is not known/],
    ] as const) {
      await writeFile(world.policy, text)
      await rejectsWith(t, () => world.images.pull(`${host}/team/app:1`), 'POLICY_INVALID', message)
    }
    await rm(world.policy)
    await mkdir(world.policy)
    await rejectsWith(t, () => world.images.pull(`${host}/team/app:1`), 'POLICY_INVALID', /EISDIR/)
  })
})

t.test('registries.conf, for real', needs('skopeo', 'docker-registry'), async (t) => {
  const [first, second] = [await startRegistry(t), await startRegistry(t)]
  const world = await ruled(t)
  const layout = await makeLayout(await temporaryDirectory(t), [
    { layers: [await makeTar([{ name: 'a', content: 'a' }])] },
  ])
  await pushLayout(layout, `${second.host}/mirrored/app:1`)
  const rules = (text: string): Promise<void> => writeFile(world.registries, text)
  const upstream = `[[registry]]\nprefix = "upstream.invalid"\nlocation = "${first.host}/up"\n`
  const mirrors = `[[registry.mirror]]\nlocation = "${first.host}/empty"\n[[registry.mirror]]\nlocation = "${second.host}/mirrored"\n`

  await t.test('a mirror that has it', async (t) => {
    await rules(upstream + mirrors)
    const image = await world.images.pull('upstream.invalid/app:1')
    t.same(image.names, ['upstream.invalid/app:1'], 'under its own name')
    t.equal(image.digest, layout.digest)
    await world.images.remove(image)
  })

  await t.test('nobody has it: all is told', async (t) => {
    const error = await rejectsWith(
      t,
      () => world.images.pull('upstream.invalid/none:1'),
      'IMAGE_NOT_FOUND',
      /\/up\/none:1.*before that: .*\/empty\/none:1.*\/mirrored\/none:1/,
    )
    t.equal((error?.cause as AggregateError).errors.length, 3)
  })

  await t.test('a mirror that is damaged', async (t) => {
    const blob = join(second.directory, 'data/docker/registry/v2/blobs/sha256', layout.images[0]!.layers[0]!.slice(7, 9), layout.images[0]!.layers[0]!.slice(7), 'data') // prettier-ignore
    const good = await readFile(blob)
    await writeFile(blob, Buffer.from(good).fill(1, 20))
    await pushLayout(layout, `${first.host}/up/app:1`)
    t.equal((await world.images.pull('upstream.invalid/app:1')).digest, layout.digest)
    await writeFile(blob, good)
  })

  await t.test('blocked, for pull and push', async (t) => {
    await rules(`[[registry]]\nlocation = "${first.host}"\nblocked = true`)
    await rejectsWith(
      t,
      () => world.images.pull(`${first.host}/up/app:1`),
      'IMAGE_FORBIDDEN',
      /is blocked by .*registries\.conf/,
    )
    await rejectsWith(
      t,
      () => world.images.push('upstream.invalid/app:1', { to: `${first.host}/x` }),
      'IMAGE_FORBIDDEN',
    )
    t.ok(await world.images.push('upstream.invalid/app:1', { to: `${second.host}/x` }))
  })

  await t.test('short names, and files beside', async (t) => {
    await mkdir(`${world.registries}.d`)
    await writeFile(
      join(`${world.registries}.d`, '10-names.conf'),
      `[aliases]\n"thing" = "${second.host}/mirrored/app"`,
    )
    await writeFile(join(`${world.registries}.d`, 'ignored.txt'), 'not TOML at all')
    await rules('')
    const image = await world.images.pull('thing:1')
    t.same(image.names.includes(`${second.host}/mirrored/app:1`), true)
    t.equal((await world.images.get('thing:1')).id, image.id, 'and is found by it')
    await rejectsWith(t, () => world.images.get('thing:2'), 'IMAGE_NOT_FOUND')
    await rules(
      `unqualified-search-registries = ["${first.host}", "${second.host}/mirrored"]\nshort-name-mode = "permissive"`,
    )
    t.equal((await world.images.pull('app:1')).digest, layout.digest, 'the first that has it')
  })

  await t.test('a damaged file lets nothing in', async (t) => {
    await rules('[[registry]')
    await rejectsWith(
      t,
      () => world.images.pull(`${second.host}/mirrored/app:1`),
      'POLICY_INVALID',
      /registries\.conf: is not TOML/,
    )
  })
})
