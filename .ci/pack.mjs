/**
 * What npm runs before it packs: builds lib/ and the helper for every architecture of the package into dist/, and
 * refuses, with the remedy, when the set is not whole. `check` alone looks at what is there: `node .ci/pack.mjs check`.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'

const architectures = [
  {
    arch: 'x64',
    machine: 62,
    compiler: 'x86_64-linux-gnu-gcc',
    packages: 'gcc-x86-64-linux-gnu libc6-dev-amd64-cross',
  },
  {
    arch: 'arm64',
    machine: 183,
    compiler: 'aarch64-linux-gnu-gcc',
    packages: 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross',
  },
]

const problems = []
if (process.argv[2] !== 'check') build()
if (problems.length === 0) check()
if (problems.length > 0) {
  console.error(`Not packed, the package would be incomplete:\n${problems.map((line) => `  ${line}`).join('\n')}`)
  process.exitCode = 1
}

function build() {
  const targets = architectures.map(({ arch, compiler, packages }) =>
    arch === process.arch ? { arch, cc: 'gcc', packages: 'gcc libc6-dev' } : { arch, cc: compiler, packages },
  )
  for (const { arch, cc, packages } of targets) {
    if (spawnSync(cc, ['--version'], { stdio: 'ignore' }).status === 0) continue
    problems.push(`no ${cc}, the compiler for linux-${arch}: apt-get install ${packages}`)
  }
  if (problems.length > 0) return
  if (!run('npm', ['run', '--silent', 'build:lib'])) problems.push('lib/ does not compile')
  for (const { arch, cc, packages } of targets) {
    if (run('make', ['-s', '--no-print-directory', '-C', 'native', `ARCH=${arch}`, `CC=${cc}`])) continue
    problems.push(
      `the helper for linux-${arch} does not compile; what it needs comes with: apt-get install ${packages}`,
    )
  }
}

function check() {
  for (const path of [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'dist/index.js',
    'dist/index.d.ts',
    'dist/library.cjs',
    'dist/oci.cjs',
    'dist/podling-oci.cjs',
    'dist/precompiled.cjs',
  ]) {
    if (!existsSync(path)) problems.push(`${path} is missing`)
  }
  for (const { arch, machine } of architectures) {
    const path = `dist/native/linux-${arch}/podling-helper`
    if (!existsSync(path)) problems.push(`${path} is missing: make -C native ARCH=${arch}`)
    else problems.push(...helperProblems(path, machine))
  }
}

/** What is wrong with a helper, by its ELF header (elf(5)): it must be static, so that it runs on any C library. */
function helperProblems(path, machine) {
  const found = []
  const elf = readFileSync(path)
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2) return [`${path} is not a 64-bit ELF file`]
  if (elf.readUInt16LE(18) !== machine) {
    found.push(`${path} is for ELF machine ${elf.readUInt16LE(18)} in the place of ${machine}`)
  }
  const headers = { at: Number(elf.readBigUInt64LE(32)), size: elf.readUInt16LE(54), count: elf.readUInt16LE(56) }
  const PT_INTERP = 3
  for (let i = 0; i < headers.count; i++) {
    if (elf.readUInt32LE(headers.at + i * headers.size) === PT_INTERP) found.push(`${path} is not static`)
  }
  try {
    accessSync(path, constants.X_OK)
  } catch {
    found.push(`${path} is not executable: its mode is ${(statSync(path).mode & 0o777).toString(8)}`)
  }
  return found
}

function run(command, args) {
  return spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0
}
