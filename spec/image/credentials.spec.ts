import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { defaultAuthFiles, findCredentials } from '../../lib/image/credentials.js'
import { askCredentialHelper } from '../../lib/image/credential-helper.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { rejectsWith } from '../fixtures/errors.js'

const encode = (text: string): string => Buffer.from(text).toString('base64')

t.test('where the files are', (t) => {
  t.same(defaultAuthFiles({ REGISTRY_AUTH_FILE: '/a', HOME: '/h' }, 7), ['/a'])
  t.same(defaultAuthFiles({ XDG_RUNTIME_DIR: '/run/user/7', HOME: '/h' }, 7), [
    '/run/user/7/containers/auth.json',
    '/h/.config/containers/auth.json',
    '/h/.docker/config.json',
  ])
  t.same(defaultAuthFiles({ XDG_CONFIG_HOME: '/c', DOCKER_CONFIG: '/d' }, 7), [
    '/run/containers/7/auth.json',
    '/c/containers/auth.json',
    '/d/config.json',
  ])
  t.same(defaultAuthFiles({}, 0), ['/run/containers/0/auth.json'])
  t.end()
})

t.test('entries', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'auth.json')
  await writeFile(
    file,
    JSON.stringify({
      auths: {
        'example.com': { auth: encode('host:pa:ss') },
        'example.com/org': { auth: encode('org:1') },
        'example.com/org/app': { auth: encode('app:2') },
        'https://index.docker.io/v1/': { username: 'hub', password: '3' },
        'token.example.com': { identitytoken: 'T' },
        'bearer.example.com': { registrytoken: 'B' },
        'empty.example.com': {},
        'localhost:5000': { auth: encode('local:4') },
      },
    }),
  )
  const find = (registry: string, repository = 'x'): ReturnType<typeof findCredentials> =>
    findCredentials([join(directory, 'none'), file], registry, repository)
  t.same(await find('example.com'), { username: 'host', password: 'pa:ss' })
  t.same(await find('example.com', 'org/other'), { username: 'org', password: '1' })
  t.same(await find('example.com', 'org/app'), { username: 'app', password: '2' })
  t.same(await find('example.com', 'organ'), { username: 'host', password: 'pa:ss' }, 'a key covers whole parts')
  t.same(await find('docker.io', 'library/debian'), { username: 'hub', password: '3' })
  t.same(await find('token.example.com'), { identityToken: 'T' })
  t.same(await find('bearer.example.com'), { token: 'B' })
  t.same(await find('localhost:5000'), { username: 'local', password: '4' })
  t.equal(await find('empty.example.com'), undefined)
  t.equal(await find('other.example.com'), undefined)
})

t.test('helper programs', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = process.env['PATH']
  process.env['PATH'] = `${directory}:${path ?? ''}`
  t.teardown(() => (process.env['PATH'] = path))
  const program = async (name: string, script: string): Promise<void> => {
    await writeFile(join(directory, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`)
    await chmod(join(directory, `docker-credential-${name}`), 0o755)
  }
  await program(
    'good',
    'read host; echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"$1\\",\\"Secret\\":\\"for $host\\"}"',
  )
  await program('token', 'echo \'{"Username":"<token>","Secret":"T"}\'')
  await program('none', 'echo credentials not found in native keychain; exit 1')
  await program('bad', 'echo the keychain is locked; exit 1')
  await program('mute', 'exit 0')
  const file = join(directory, 'config.json')
  const find = async (content: object, registry = 'example.com'): Promise<unknown> => {
    await writeFile(file, JSON.stringify(content))
    return findCredentials([file], registry, 'app')
  }
  t.same(await find({ credsStore: 'good' }), { username: 'get', password: 'for example.com' })
  t.same(await find({ credsStore: 'none', credHelpers: { 'example.com': 'token' } }), { identityToken: 'T' })
  t.equal(await find({ credsStore: 'none' }), undefined)
  t.same(await find({ credsStore: 'good' }, 'docker.io'), { username: 'get', password: 'for docker.io' })
  await rejectsWith(
    t,
    () => find({ credsStore: 'bad' }),
    'CREDENTIALS_INVALID',
    /docker-credential-bad .*: the keychain is locked/,
  )
  await rejectsWith(t, () => find({ credsStore: 'mute' }), 'CREDENTIALS_INVALID', /not JSON/)
  await program('flood', 'cat /dev/zero | tr "\\0" x')
  await program('rubbish', 'head -c 1000 /dev/urandom')
  await program('array', 'echo "[1]"')
  await program('stubborn', "trap '' TERM; exec sleep 1000")
  await rejectsWith(t, () => find({ credsStore: 'flood' }), 'CREDENTIALS_INVALID', /longer than 64 KiB/)
  await rejectsWith(t, () => find({ credsStore: 'rubbish' }), 'CREDENTIALS_INVALID', /not JSON/)
  await rejectsWith(t, () => find({ credsStore: 'array' }), 'CREDENTIALS_INVALID', /object/)
  await rejectsWith(
    t,
    () => askCredentialHelper('stubborn', 'example.com', undefined, 200),
    'CREDENTIALS_INVALID',
    /no answer in 0.2 s/,
  )
  await rejectsWith(
    t,
    () => askCredentialHelper('stubborn', 'example.com', AbortSignal.timeout(200)),
    'ABORTED',
    /docker-credential-stubborn/,
  )

  await writeFile(file, JSON.stringify({ auths: { 'example.com': { auth: encode('file:1') } } }))
  const ask = (...helpers: readonly string[]): Promise<unknown> =>
    findCredentials([file], 'example.com', 'app', undefined, helpers)
  t.same(await ask('none', 'token', 'containers-auth.json'), { identityToken: 'T' }, 'the first that knows')
  t.same(await ask('containers-auth.json', 'token'), { username: 'file', password: '1' })
  t.equal(await ask('none'), undefined, 'the files only where they are named')
  t.same(await ask('bad', 'containers-auth.json'), { username: 'file', password: '1' }, 'one that fails is passed over')
  await rejectsWith(t, () => ask('bad', 'none'), 'CREDENTIALS_INVALID', /the keychain is locked/)
  await rejectsWith(t, () => find({ credsStore: 'missing' }), 'CREDENTIALS_INVALID', /no such program on the PATH/)
  await rejectsWith(t, () => find({ credsStore: '../../bin/sh' }), 'CREDENTIALS_INVALID', /not the name of a program/)
})

t.test('files that are no good', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'auth.json')
  const find = async (content: string): Promise<unknown> => {
    await writeFile(file, content)
    return findCredentials([file], 'example.com', 'app')
  }
  await rejectsWith(t, () => find('{'), 'CREDENTIALS_INVALID', /auth\.json: is not JSON/)
  await rejectsWith(t, () => find('{"auths":[]}'), 'CREDENTIALS_INVALID', /auths: must be an object/)
  await rejectsWith(
    t,
    () => find('{"auths":{"example.com":{"auth":"eA=="}}}'),
    'CREDENTIALS_INVALID',
    /base64 of username:password/,
  )
  await rejectsWith(t, () => findCredentials([directory], 'example.com', 'app'), 'CREDENTIALS_INVALID', /EISDIR/)
})
