/**
 * The package as its users get it: packed from a copy of the sources, so that the other tests' dist/ stays as it is, and
 * installed where there is no compiler.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { containerFiles, nothing, settledLeftovers } from '../fixtures/leftovers.js'
import { needs } from '../peers.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'podling-package-'))
t.teardown(() => {
  rmSync(scratch, { recursive: true })
})

const helpers = ['x64', 'arm64'].map((arch) => `dist/native/linux-${arch}/podling-helper`)

/** What the consumer runs: the main job, on the root that it is given. */
const program = `
import { PodlingError, Runtime } from 'podling'

const lines = []
let inside
{
  await using runtime = await Runtime.open({ root: process.argv[2] })
  const image = await runtime.images.fromHost({ binaries: ['/usr/bin/busybox'] })
  const script = 'echo hello; echo trouble >&2; while [ ! -e /tmp/end ]; do sleep 0.05; done; exit 3'
  const container = await runtime.run({ image, command: ['busybox', 'sh', '-c', script], network: 'none', memory: '32m', tmpfs: ['/tmp'] })
  inside = await container.exec(['busybox', 'sh', '-c', 'touch /tmp/end; cat /proc/1/comm'])
  const { exitCode } = await container.wait()
  for await (const { stream, text } of container.logs()) lines.push([stream, text])
  const refusal = await runtime.run({ image: 'no-such-image' }).catch((error) => error)
  if (!(refusal instanceof PodlingError)) throw refusal
  console.log(JSON.stringify({ exitCode, inside, lines: lines.sort(), code: refusal.code }))
}
`

/** `await using` is not in every Node that Podling runs on. */
const source = ts.transpile(program, { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext })

t.test(
  'a package is whole, and works without a compiler',
  needs('root', 'busybox', 'cross-gcc', 'cross-libc'),
  async (t) => {
    const sources = copyOfSources('whole')
    const packed = run('npm', ['pack', '--pack-destination', scratch], sources)
    if (!t.equal(packed.status, 0, packed.output)) return
    const tarball = join(scratch, readdirSync(scratch).find((name) => name.endsWith('.tgz')) ?? 'no tarball')

    const listed = run('tar', ['-tf', tarball], scratch)
    const paths = listed.output.split('\n').filter((line) => line !== '')
    const needed = [
      'package.json',
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'dist/index.js',
      'dist/index.d.ts',
      'dist/library.cjs',
      'dist/oci.cjs',
      'dist/podling-oci.cjs',
      'dist/precompiled.cjs',
      `dist/compiled/${process.versions.v8}-${process.arch}/library.bin`,
      `dist/compiled/${process.versions.v8}-${process.arch}/oci.bin`,
      ...helpers,
    ]
    for (const path of needed) t.ok(paths.includes(`package/${path}`), `it holds ${path}`)
    const expected = /^package\/dist\/([\w-]+\.js|([\w-]+\/)*[\w-]+\.d\.ts|native\/.*)$/
    const others = paths.filter((path) => !expected.test(path) && !needed.includes(path.replace('package/', '')))
    t.same(others, [], 'it holds nothing else')

    const home = join(scratch, 'consumer')
    mkdirSync(home)
    writeFileSync(join(home, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    const path = pathWithoutCompilers()
    const env = { ...process.env, PATH: path }
    for (const tool of ['cc', 'gcc', 'clang', 'make', 'python3']) {
      t.not(run('sh', ['-c', `command -v ${tool}`], home, env).status, 0, `no ${tool} there`)
    }
    const installed = run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], home, env)
    if (!t.equal(installed.status, 0, installed.output)) return
    const manifest = join(home, 'node_modules/podling/package.json')
    const { scripts } = JSON.parse(readFileSync(manifest, 'utf8')) as { scripts: Record<string, string> }
    for (const name of ['preinstall', 'install', 'postinstall']) t.notOk(name in scripts, `no ${name} script`)

    writeFileSync(join(home, 'main.js'), source)
    const state = join(scratch, 'state')
    const ran = run('node', ['main.js', state], home, env)
    if (!t.equal(ran.status, 0, ran.output)) return
    t.strictSame(
      JSON.parse(ran.output),
      {
        exitCode: 3,
        inside: { exitCode: 0, stdout: 'busybox\n', stderr: '' },
        lines: [
          ['stderr', 'trouble'],
          ['stdout', 'hello'],
        ],
        code: 'IMAGE_NOT_FOUND',
      },
      'a container ran, by the program alone',
    )
    t.strictSame(await settledLeftovers(state, state), nothing, 'nothing is left running')
    t.strictSame(await containerFiles(state), [], 'no file of a container is left')
  },
)

t.test('an incomplete set is not packed', (t) => {
  const sources = copyOfSources('incomplete')
  const without = join(scratch, 'no-cross-compiler')
  mkdirSync(without)
  const other = process.arch === 'x64' ? 'aarch64-linux-gnu-gcc' : 'x86_64-linux-gnu-gcc'
  writeFileSync(join(without, other), '#!/bin/sh\nexit 127\n')
  chmodSync(join(without, other), 0o755)
  const destination = join(scratch, 'none')
  mkdirSync(destination)
  const packed = run('npm', ['pack', '--pack-destination', destination], sources, {
    ...process.env,
    PATH: `${without}:${process.env['PATH'] ?? ''}`,
  })
  t.not(packed.status, 0)
  t.match(packed.output, `no ${other}`, 'says what is missing')
  t.match(packed.output, /apt-get install gcc-[\w-]+ libc6-dev-\w+-cross/, 'and what gives it')
  t.same(readdirSync(destination), [], 'no tarball')
  t.end()
})

t.test('a helper of the wrong kind is not packed', (t) => {
  const home = join(scratch, 'wrong')
  for (const path of [
    ...helpers,
    'dist/index.js',
    'dist/index.d.ts',
    'dist/library.cjs',
    'dist/oci.cjs',
    'dist/podling-oci.cjs',
    'dist/precompiled.cjs',
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
  ]) {
    mkdirSync(dirname(join(home, path)), { recursive: true })
    writeFileSync(join(home, path), path.includes('native') ? elf(path.includes('arm64') ? 183 : 62) : '')
    chmodSync(join(home, path), 0o755)
  }
  const check = (): string => run('node', [join(root, '.ci/pack.mjs'), 'check'], home).output
  t.equal(check(), '', 'a whole set passes')

  const [x64 = '', arm64 = ''] = helpers.map((path) => join(home, path))
  writeFileSync(arm64, elf(62))
  t.match(check(), /arm64\/podling-helper is for ELF machine 62 in the place of 183/)
  writeFileSync(arm64, elf(183, 3))
  t.match(check(), /arm64\/podling-helper is not static/)
  writeFileSync(arm64, '#!/bin/sh\n')
  t.match(check(), /arm64\/podling-helper is not a 64-bit ELF file/)
  rmSync(arm64)
  t.match(check(), /arm64\/podling-helper is missing/)
  chmodSync(x64, 0o644)
  // Root may execute what has no execute bit for anyone only if one bit is set, so this holds for root too.
  t.match(check(), /x64\/podling-helper is not executable: its mode is 644/)
  rmSync(join(home, 'LICENSE'))
  t.match(check(), /LICENSE is missing/)
  t.end()
})

/** All that npm pack needs, in a folder of its own. */
function copyOfSources(name: string): string {
  const to = join(scratch, name)
  const parts = ['lib', 'native', '.ci', 'package.json', 'tsconfig.json', 'LICENSE', 'README.md', 'CHANGELOG.md']
  for (const part of parts) cpSync(join(root, part), join(to, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(to, 'node_modules'))
  return to
}

/** A folder with Node, npm and what their scripts call, to be the whole of PATH. */
function pathWithoutCompilers(): string {
  const directory = join(scratch, 'bin')
  mkdirSync(directory)
  for (const tool of ['node', 'npm', 'sh', 'env', 'uname']) {
    const found = (process.env['PATH'] ?? '').split(':').find((place) => existsSync(join(place, tool)))
    if (found !== undefined) symlinkSync(join(found, tool), join(directory, tool))
  }
  return directory
}

/** The headers of an ELF file (elf(5)) for a machine, with one program header. */
function elf(machine: number, programHeader = 1): Buffer {
  const bytes = Buffer.alloc(64 + 56)
  bytes.write('\x7fELF\x02', 'latin1')
  bytes.writeUInt16LE(machine, 18)
  bytes.writeBigUInt64LE(64n, 32)
  bytes.writeUInt16LE(56, 54)
  bytes.writeUInt16LE(1, 56)
  bytes.writeUInt32LE(programHeader, 64)
  return bytes
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): { status: number | null; output: string } {
  // What npm tells its children is not meant for another npm.
  const foreign = /^npm_(?!config_(cache|registry|userconfig))/i
  const clean = Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.test(name)))
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env: clean, encoding: 'utf8' })
  return { status, output: `${stdout}${stderr}` }
}
