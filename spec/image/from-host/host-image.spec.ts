import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { chmod, link, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { extract } from 'tar-stream'
import t, { type Test } from 'tap'
import { hostImage, type HostImage, type HostLayer } from '../../../lib/image/from-host/host-image.js'
import { encodeLdCache, parseLdCache } from '../../../lib/image/from-host/ld-cache.js'
import type { FromHostOptions } from '../../../lib/image/from-host/options.js'
import { hostPlatform } from '../../../lib/image/platform.js'
import { needs } from '../../peers.js'
import { makeElf } from './make-elf.js'

const elsewhere = { path: [], execPath: process.execPath }

/** The image in a directory, to chroot into. */
async function unpack(t: Test, image: HostImage): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'podling-spec-'))
  t.teardown(() => rm(root, { recursive: true }))
  await chmod(root, 0o755)
  for (const [index, layer] of image.layers.entries()) {
    const file = `${root}.${String(index)}.tar`
    await writeFile(file, layer.tar())
    execFileSync('tar', ['xpf', file, '-C', root])
    await rm(file)
  }
  // A runtime gives its containers these.
  execFileSync('mknod', ['-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
  execFileSync('mknod', ['-m', '666', join(root, 'dev/urandom'), 'c', '1', '9'])
  return root
}

function run(root: string, command: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync('/usr/sbin/chroot', [root, ...command], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin' },
  })
  return { status, stdout, stderr }
}

async function digest(layer: HostLayer): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of layer.tar()) hash.update(piece)
  return hash.digest('hex')
}

interface Listed {
  name: string
  type: string | null | undefined
  linkname: string | null | undefined
  mode: number | undefined
  uid: number | undefined
  text: string
}

async function list(layer: HostLayer): Promise<Map<string, Listed>> {
  const entries = new Map<string, Listed>()
  const reader = extract()
  const fed = (async () => {
    for await (const piece of layer.tar())
      if (!reader.write(Buffer.from(piece)))
        await new Promise<void>((done) =>
          reader.once('drain', () => {
            done()
          }),
        )
    reader.end(undefined)
  })()
  for await (const entry of reader) {
    const pieces: Buffer[] = []
    for await (const piece of entry) pieces.push(piece as Buffer)
    const { name, type, linkname, mode, uid } = entry.header
    entries.set(name, {
      name,
      type,
      linkname,
      mode,
      uid,
      text: pieces.reduce((sum, { length }) => sum + length, 0) < 4096 ? Buffer.concat(pieces).toString() : '',
    })
  }
  await fed
  return entries
}

const nodeProgram = `
const assert = require('node:assert'), http = require('node:http'), dns = require('node:dns/promises'), tls = require('node:tls')
const { Worker } = require('node:worker_threads'), fs = require('node:fs'), os = require('node:os')
;(async () => {
  const server = http.createServer((request, response) => response.end('served'))
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  assert.equal(await (await fetch('http://127.0.0.1:' + server.address().port)).text(), 'served')
  server.close(); server.closeAllConnections()
  assert.ok(['127.0.0.1', '::1'].includes((await dns.lookup('localhost')).address))
  const secret = { ciphers: 'PSK', pskCallback: () => key, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }, key = Buffer.alloc(16, 7)
  const secure = tls.createServer(secret, (socket) => socket.end('secret'))
  await new Promise((done) => secure.listen(0, '127.0.0.1', done))
  const client = tls.connect({ port: secure.address().port, host: '127.0.0.1', ciphers: 'PSK', checkServerIdentity() {}, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', pskCallback: () => ({ psk: key, identity: 'x' }) })
  let text = ''
  for await (const piece of client) text += piece
  secure.close()
  assert.equal(text, 'secret')
  const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true })
  assert.equal(await new Promise((done) => worker.once('message', done)), 42)
  await worker.terminate()
  assert.equal(new Intl.NumberFormat('de').format(1234.5), '1.234,5')
  assert.equal(new Date(0).toLocaleString('en-GB', { timeZone: 'Asia/Tokyo', timeStyle: 'short' }), '09:00')
  assert.equal(os.userInfo().username, 'root')
  assert.equal(os.userInfo().homedir, '/root')
  fs.writeFileSync('/tmp/x', 'y')
  console.log('all well', require('/app/config.json').answer)
})()
`

t.test('node serves, resolves, encrypts, threads and formats in its image', async (t) => {
  const options: FromHostOptions = {
    binaries: ['node'],
    files: [
      { to: '/app/program.js', content: nodeProgram },
      { to: '/app/config.json', content: Buffer.from('{"answer":42}'), mode: 0o600 },
      { to: '/etc/hosts', content: '127.0.0.1 localhost\n' },
    ],
    config: { cmd: ['node', '/app/program.js'], env: { A: '1' }, workingDir: '/app' },
  }
  const image = await hostImage(options, elsewhere)
  const root = await unpack(t, image)
  const { stdout, stderr, status } = run(root, [process.execPath, '/app/program.js'])
  t.equal(stdout, 'all well 42\n', stderr)
  t.equal(status, 0)
  t.strictSame(image.platform, hostPlatform())
  t.match(image.config, {
    cmd: ['node', '/app/program.js'],
    workingDir: '/app',
    env: [/^PATH=.*\/usr\/bin/, 'A=1'],
  })

  t.equal(image.layers.length, 2, 'programs and files are layers of their own')
  const again = await hostImage({ ...options, files: [{ to: '/other', content: '' }] }, elsewhere)
  t.equal(again.layers[0]!.key, image.layers[0]!.key, 'other files, same programs')
  t.not(again.layers[1]!.key, image.layers[1]!.key)
  t.equal(await digest(again.layers[0]!), await digest(image.layers[0]!), 'same key, same bytes')
})

t.test('shells and tools', async (t) => {
  const image = await hostImage({ binaries: ['/bin/sh', '/bin/ls', '/usr/bin/id'] }, elsewhere)
  t.equal(image.layers.length, 1)
  const root = await unpack(t, image)
  t.equal(run(root, ['/bin/sh', '-c', 'ls -d /tmp && id -un && id -un 65534']).stdout, '/tmp\nroot\nnobody\n')
  const listed = await list(image.layers[0]!)
  t.match(listed.get('tmp/'), { mode: 0o1777, type: 'directory' })
  for (const entry of listed.values()) if (entry.uid !== 0) t.fail(`${entry.name} is not root's`)
  t.strictSame(
    [...listed.keys()].map((name) => name.replace(/\/$/, '')),
    [...listed.keys()].map((name) => name.replace(/\/$/, '')).sort(),
  )
})

t.test('a static program comes alone', async (t) => {
  const directory = t.testdir()
  const program = join(directory, 'static')
  execFileSync('gcc', ['-static', '-x', 'c', '-', '-o', program], { input: 'int main(){return 9;}' })
  const image = await hostImage({ binaries: [program] }, elsewhere)
  t.notOk([...(await list(image.layers[0]!)).keys()].some((name) => name.includes('.so')))
  t.equal(run(await unpack(t, image), [program]).status, 9)
})

t.test("Debian's Node has the modules that it reads from files", async (t) => {
  const root = t.testdir({ bin: {}, share: { nodejs: { acorn: { 'acorn.js': '' }, express: { 'index.js': '' } } } })
  const program = join(root, 'bin/node')
  const name = (module: string): string => `${root.slice(1)}/share/nodejs/${module}`
  await writeFile(program, makeElf({ needed: ['libnode.so.1'], runpath: '$ORIGIN' }), { mode: 0o755 })
  await writeFile(join(root, 'bin/libnode.so.1'), makeElf({}))
  const entries = await list((await hostImage({ binaries: [program] }, elsewhere)).layers[0]!)
  t.ok(entries.has(name('acorn/acorn.js')))
  t.notOk(entries.has(name('express/index.js')))
  await writeFile(program, makeElf({}))
  t.notOk((await list((await hostImage({ binaries: [program] }, elsewhere)).layers[0]!)).has(name('acorn/acorn.js')))
})

t.test('programs lose what gives rights and get what lets all use them', async (t) => {
  const program = join(t.testdir(), 'program')
  await writeFile(program, makeElf({}))
  for (const mode of [0o4711, 0o2700]) {
    await chmod(program, mode)
    const entries = await list((await hostImage({ binaries: [program] }, elsewhere)).layers[0]!)
    t.match(entries.get(program.slice(1)), { mode: 0o755 })
  }
})

t.test("the image's cache leads the loader to libraries in odd places", async (t) => {
  const build = t.testdir()
  const flags = ['-x', 'c', '-', '-x', 'none', '-o']
  const [library, program] = [join(build, 'libodd.so.1'), join(build, 'program')]
  execFileSync('gcc', ['-shared', '-fPIC', '-Wl,-soname,libodd.so.1', ...flags, library], {
    input: 'int odd(void){return 7;}',
  })
  execFileSync('gcc', [...flags, program, library], { input: 'int odd(void);int main(){return odd();}' })
  await t.rejects(hostImage({ binaries: [program] }, elsewhere), {
    code: 'HOST_LIBRARY_NOT_FOUND',
    message:
      /program needs the library libodd\.so\.1, which is not on this host; searched: the loader's cache and default/,
  })

  const image = await hostImage(
    {
      binaries: ['/bin/sh'],
      files: [
        { from: program, to: '/program' },
        { from: library, to: '/odd/libodd.so.1' },
      ],
    },
    elsewhere,
  )
  const root = await unpack(t, image)
  t.equal(run(root, ['/program']).status, 127, 'the loader knows nothing of /odd')
  const cache = join(root, 'etc/ld.so.cache')
  const entries = parseLdCache(await readFile(cache))!
  await writeFile(
    cache,
    encodeLdCache([...entries, { ...entries[0]!, name: 'libodd.so.1', path: '/odd/libodd.so.1' }], true),
  )
  t.equal(run(root, ['/program']).status, 7)
  t.equal(run(root, ['/bin/sh', '-c', 'exit 3']).status, 3, 'the rest is still found')
})

t.test('python has its standard library, with the libraries of its modules', needs('python3'), async (t) => {
  const image = await hostImage({ binaries: ['python3'] }, { ...elsewhere, path: ['/usr/bin'] })
  const root = await unpack(t, image)
  const program = `
import ssl, hashlib, json, ctypes, bz2, lzma, threading, encodings.idna, uuid, decimal, socket, zoneinfo, subprocess
ssl.create_default_context()
thread = threading.Thread(target=lambda: print(json.dumps({'sum': hashlib.sha256(b'').hexdigest()[:8]})))
thread.start(); thread.join()
`
  const { stdout, stderr } = run(root, ['python3', '-c', program])
  t.equal(stdout, '{"sum": "e3b0c442"}\n', stderr)
})

t.test('git works with what is around it', needs('git'), async (t) => {
  const image = await hostImage({ binaries: ['git', 'sh'] }, { ...elsewhere, path: ['/usr/bin', '/bin'] })
  const root = await unpack(t, image)
  const script =
    'git init -q /tmp/a && cd /tmp/a && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git clone -q . /tmp/b && cd /tmp/b && git log --format=%s && git submodule status'
  const { stdout, stderr } = run(root, ['sh', '-c', script])
  t.equal(stdout, 'x\n', stderr)
  const kinds = [...(await list(image.layers[0]!)).values()]
  for (const entry of kinds)
    if (entry.type === 'link') t.ok(kinds.some(({ name, type }) => name === entry.linkname && type === 'file'))
})

t.test('a script brings its interpreter', async (t) => {
  const script = join(t.testdir(), 'script')
  await writeFile(script, '#!/usr/bin/env node\nconsole.log(process.argv.length)\n', { mode: 0o755 })
  const image = await hostImage({ binaries: [script] }, elsewhere)
  const root = await unpack(t, image)
  t.equal(run(root, [process.execPath, script]).stdout, '2\n')
  if (process.execPath.startsWith('/usr/bin/')) t.equal(run(root, [script]).stdout, '2\n')
  t.match(image.config.env, [new RegExp(`^PATH=.*:${dirname(script)}$`)])
})

t.test('files, directories and links', async (t) => {
  const host = t.testdir({ tree: { deep: { 'a.txt': 'a' }, 'b.txt': 'b' }, outside: 'outside' })
  const tree = join(host, 'tree')
  await link(join(tree, 'b.txt'), join(tree, 'hard.txt'))
  await symlink('../outside', join(tree, 'out'))
  await symlink('nowhere', join(tree, 'dangling'))
  await symlink('deep', join(tree, 'inner'))
  await chmod(join(tree, 'b.txt'), 0o4751)
  await chmod(join(tree, 'deep'), 0o700)
  execFileSync('mkfifo', [join(tree, 'fifo')])
  await symlink('tree', join(host, 'alias'))
  const image = await hostImage(
    {
      files: [
        join(host, 'alias/b.txt'),
        { from: join(host, 'alias/b.txt'), to: '/bin/c' },
        { content: '', to: '/empty', mode: 0o400 },
      ],
      directories: [tree, { from: tree, to: '/srv/tree' }],
      links: { '/opt/link': '../srv/tree', '/bin/b': '/srv/tree/b.txt' },
    },
    elsewhere,
  )
  const entries = await list(image.layers[1]!)
  const at = tree.slice(1)
  /** A path's file, by way of the hard link that it may be. */
  const fileAt = (name: string): Listed | undefined => {
    const entry = entries.get(name)
    return entry?.type === 'link' ? entries.get(entry.linkname!) : entry
  }
  const merged = existsSync('/usr/bin/sh') && entries.has('usr/bin/c')
  t.match(fileAt(merged ? 'usr/bin/c' : 'bin/c'), { mode: 0o751 })
  t.notOk(merged && entries.has('bin/c'), '/bin is a link, and stays one')
  t.match(fileAt(`${at}/deep/a.txt`), { text: 'a' })
  t.match(entries.get(`${at}/deep/`), { mode: 0o700 })
  t.match(fileAt(`${at}/b.txt`), { text: 'b', type: 'file', mode: 0o751 })
  t.equal(fileAt(`${at}/hard.txt`), fileAt(`${at}/b.txt`))
  t.match(entries.get(`${at}/out`), { type: 'symlink', linkname: '../outside' })
  t.match(fileAt(`${host.slice(1)}/outside`), { text: 'outside' }, 'a file that a link leads to comes too')
  t.match(entries.get(`${at}/dangling`), { type: 'symlink', linkname: 'nowhere' })
  t.match(entries.get(`${at}/inner`), { type: 'symlink', linkname: 'deep' })
  t.match(entries.get(`${host.slice(1)}/alias`), { type: 'symlink', linkname: 'tree' })
  t.match(entries.get('srv/tree/out'), { type: 'symlink' })
  t.match(entries.get('opt/link'), { type: 'symlink', linkname: '../srv/tree' })
  t.match(entries.get('empty'), { mode: 0o400, text: '' })
  t.notOk([...entries.keys()].some((name) => name.endsWith('fifo')))
  await unpack(t, image)
})

t.test('what is missing is a typed error', async (t) => {
  const directory = t.testdir({ file: '' })
  const code = (options: FromHostOptions, code: string): Promise<unknown> =>
    t.rejects(hostImage(options, elsewhere), { code, name: 'PodlingError' })
  await code({ binaries: ['no-such-program'] }, 'HOST_PROGRAM_NOT_FOUND')
  await code({ binaries: [join(directory, 'file')] }, 'HOST_PROGRAM_NOT_FOUND')
  await code({ files: ['/none'] }, 'HOST_FILE_NOT_FOUND')
  await code({ files: ['/etc'] }, 'HOST_FILE_NOT_FOUND')
  await code({ files: ['/dev/null'] }, 'HOST_FILE_NOT_FOUND')
  await code({ directories: ['/etc/passwd'] }, 'HOST_FILE_NOT_FOUND')
  await code({ directories: [join(directory, 'file', 'x')] }, 'HOST_FILE_NOT_FOUND')
  await mkdir(join(directory, 'strange'))
  await writeFile(Buffer.concat([Buffer.from(`${directory}/strange/`), Buffer.from([0xff])]), '')
  await code({ directories: [join(directory, 'strange')] }, 'HOST_FILE_NOT_FOUND')
  await code({ files: [{ to: '/tmp', content: '' }] }, 'INVALID_OPTION')
  const cut = join(directory, 'cut')
  await writeFile(cut, makeElf({ needed: ['libc.so.6'] }).subarray(0, 100), { mode: 0o755 })
  await code({ binaries: [cut] }, 'ELF_INVALID')
  const foreign = join(directory, 'foreign')
  await writeFile(foreign, makeElf({ machine: 22, littleEndian: false, interpreter: '/lib/ld64.so.1' }), {
    mode: 0o755,
  })
  await code({ binaries: [foreign] }, 'HOST_LIBRARY_NOT_FOUND')
})

t.test('a file that changes after the look is an error of the stream', async (t) => {
  const file = join(t.testdir({ file: 'before' }), 'file')
  const image = await hostImage({ files: [file] }, elsewhere)
  await writeFile(file, 'after!')
  await t.rejects(digest(image.layers[1]!), { code: 'HOST_FILE_CHANGED', path: file })
  const gone = await hostImage({ files: [file] }, elsewhere)
  await rm(file)
  await t.rejects(digest(gone.layers[1]!), { code: 'HOST_FILE_NOT_FOUND', path: file })
})

t.test('times are part of the layer; the moment of making it is not', async (t) => {
  const file = join(t.testdir({ file: 'x' }), 'file')
  await utimes(file, 1000, 1000)
  const make = async (): Promise<string> =>
    digest((await hostImage({ files: [{ from: file, to: '/x' }] }, elsewhere)).layers[1]!)
  const first = await make()
  t.equal(await make(), first)
  await utimes(file, 2000, 2000)
  t.not(await make(), first)
})

t.test('leaving the stream early leaves nothing open', async (t) => {
  const image = await hostImage({ binaries: ['node'] }, elsewhere)
  const before = readdirSync('/proc/self/fd').length
  for await (const piece of image.layers[0]!.tar()) if (piece.length > 100_000) break
  t.equal(readdirSync('/proc/self/fd').length, before)
})
