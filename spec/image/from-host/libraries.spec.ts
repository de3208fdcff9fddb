import { execFileSync } from 'node:child_process'
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { HostFiles } from '../../../lib/image/from-host/host-files.js'
import { resolveLibraries, type ResolveOptions } from '../../../lib/image/from-host/libraries.js'
import { SystemLibraries, type SystemLibraryFiles } from '../../../lib/image/from-host/system-libraries.js'
import { makeElf } from './make-elf.js'

async function libraries(path: string, options?: ResolveOptions, files?: SystemLibraryFiles): Promise<string[]> {
  const host = new HostFiles()
  const elf = (await host.elf(path))!
  return (await resolveLibraries({ path, elf }, host, new SystemLibraries(host, files), options)).map(
    ({ path }) => path,
  )
}

/** What the real loader would load. */
function loaderSays(loader: string, path: string): string[] {
  return execFileSync(loader, ['--list', path], { encoding: 'utf8', env: {} })
    .split('\n')
    .flatMap((line) => /^\t(?:.* => )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
    .sort()
}

t.test('programs of this host get the libraries that their loader gives them', async (t) => {
  const host = new HostFiles()
  let compared = 0
  for (const name of ['node', ...(await readdir('/usr/bin')).sort()]) {
    const path = name === 'node' ? process.execPath : join('/usr/bin', name)
    const elf = await host.elf(path).catch(() => undefined)
    if (elf?.interpreter === undefined || compared === 120) continue
    const expected = loaderSays(elf.interpreter, path)
    t.strictSame((await libraries(path)).sort(), expected, path)
    compared++
  }
  t.ok(compared > 20, `${String(compared)} programs`)
})

t.test('without a cache the directories of ld.so.conf are walked', async (t) => {
  const none = join(t.testdir(), 'none')
  const walked = await libraries(process.execPath, {}, { cache: none })
  t.strictSame(
    walked.map((path) => path.replace(/.*\//, '')),
    (await libraries(process.execPath)).map((path) => path.replace(/.*\//, '')),
  )
})

t.test('search paths of the files, as compiled, against the loader', async (t) => {
  const root = t.testdir()
  const build = async (file: string, source: string, ...flags: string[]): Promise<string> => {
    const path = join(root, file)
    await mkdir(dirname(path), { recursive: true })
    execFileSync('gcc', ['-x', 'c', '-', '-x', 'none', '-o', path, '-Wl,--no-as-needed', ...flags], { input: source })
    return path
  }
  const library = (file: string, ...flags: string[]): Promise<string> =>
    build(file, 'int x;', '-shared', '-fPIC', `-Wl,-soname,${file.replace(/.*\//, '')}`, ...flags)
  const old = '-Wl,--disable-new-dtags'
  const loader = (await new HostFiles().elf(process.execPath))!.interpreter!
  const agrees = async (t: Test, program: string, expected: string[]): Promise<void> => {
    const found = (await libraries(program)).sort()
    t.strictSame(found, loaderSays(loader, program))
    t.strictSame(found.filter((path) => path.startsWith(root)).sort(), expected.map((file) => `${root}/${file}`).sort())
  }

  const inner = await library('a/inner/libinner.so')
  const outer = await library('a/libouter.so', inner)
  await library('b/libinner.so')

  await t.test('RPATH of the program serves its libraries too', async (t) => {
    const program = await build(
      'bin/rpath',
      'int main(){return 0;}',
      outer,
      old,
      '-Wl,-rpath,$ORIGIN/../a:$ORIGIN/../b',
    )
    await agrees(t, program, ['bin/../a/libouter.so', 'bin/../b/libinner.so'])
  })
  await t.test('RUNPATH of the program does not', async (t) => {
    const program = await build(
      'bin/runpath',
      'int main(){return 0;}',
      outer,
      '-Wl,-rpath-link,' + join(root, 'b'),
      '-Wl,-rpath,$ORIGIN/../a:$ORIGIN/../b',
      '-Wl,--enable-new-dtags',
    )
    await t.rejects(libraries(program), {
      code: 'HOST_LIBRARY_NOT_FOUND',
      message: /libouter\.so \(loaded by .*runpath\) needs the library libinner\.so/,
    })
    t.notOk((await libraries(program, { lenient: true })).some((path) => path.endsWith('libinner.so')))
  })
  await t.test('RUNPATH of a library is its own', async (t) => {
    const own = await library('c/libown.so', inner, '-Wl,-rpath,${ORIGIN}/../a/inner', '-Wl,--enable-new-dtags')
    const program = await build(
      'bin/own',
      'int main(){return 0;}',
      own,
      '-Wl,-rpath,$ORIGIN/../c',
      '-Wl,--enable-new-dtags',
    )
    await agrees(t, program, ['bin/../c/libown.so', 'bin/../c/../a/inner/libinner.so'])
  })
  await t.test('a RUNPATH silences the RPATH above it', async (t) => {
    const own = await library('d/libquiet.so', inner, '-Wl,-rpath,$ORIGIN/../a/inner', '-Wl,--enable-new-dtags')
    const program = await build('bin/quiet', 'int main(){return 0;}', own, old, '-Wl,-rpath,$ORIGIN/../d:$ORIGIN/../b')
    await agrees(t, program, ['bin/../d/libquiet.so', 'bin/../d/../a/inner/libinner.so'])
  })
  await t.test('the program is found through a link: its origin is where it is', async (t) => {
    await mkdir(join(root, 'links'), { recursive: true })
    await symlink('../bin/own', join(root, 'links/own'))
    const found = await libraries(join(root, 'links/own'))
    t.ok(found.includes(`${root}/bin/../c/libown.so`))
  })
  await t.test('a path in DT_NEEDED', async (t) => {
    const bare = await build('e/libbare.so', 'int x;', '-shared', '-fPIC')
    const program = await build('bin/bare', 'int main(){return 0;}', bare)
    await agrees(t, program, ['e/libbare.so'])
  })
  await t.test('$LIB', async (t) => {
    const lib = dirname((await new HostFiles().walk(loader))!.path).replace(/^\/(usr\/)?/, '')
    const own = await library(`f/${lib}/liblib.so`)
    const program = await build('bin/lib', 'int main(){return 0;}', own, `-Wl,-rpath,${root}/f/$LIB`)
    await agrees(t, program, [`f/${lib}/liblib.so`])
  })
  await t.test('a library of another machine is passed over', async (t) => {
    await mkdir(join(root, 'g'))
    await writeFile(join(root, 'g/libinner.so'), makeElf({ machine: 183, soname: 'libinner.so' }))
    const program = await build('bin/other', 'int main(){return 0;}', inner, '-Wl,-rpath,$ORIGIN/../g:$ORIGIN/../b')
    await agrees(t, program, ['bin/../b/libinner.so'])
  })
  await t.test('nodeflib keeps out of the default directories', async (t) => {
    const program = await build('bin/nodeflib', 'int main(){return 0;}', '-Wl,-z,nodefaultlib')
    await t.rejects(libraries(program), { code: 'HOST_LIBRARY_NOT_FOUND', message: /libc\.so\.6/ })
    await cp(
      (await new HostFiles().walk((await libraries(process.execPath)).find((path) => path.endsWith('/libc.so.6'))!))!
        .path,
      join(root, 'h/libc.so.6'),
    )
    const kept = await build('bin/kept', 'int main(){return 0;}', '-Wl,-z,nodefaultlib', '-Wl,-rpath,$ORIGIN/../h')
    t.ok((await libraries(kept)).includes(`${root}/bin/../h/libc.so.6`))
  })
  await t.test('a loader that this host has not', async (t) => {
    const program = await build('bin/loader', 'int main(){return 0;}', `-Wl,--dynamic-linker=${root}/ld-none.so`)
    await t.rejects(libraries(program), {
      code: 'HOST_LIBRARY_NOT_FOUND',
      message: /started by the loader .*ld-none\.so, which this host doesn't have/,
    })
  })
})

t.test('a file with both search paths has but the newer one', async (t) => {
  const root = t.testdir({ old: {}, new: {} })
  await writeFile(join(root, 'new/libone.so'), makeElf({ needed: ['libtwo.so'] }))
  await writeFile(join(root, 'old/libtwo.so'), makeElf({}))
  const program = join(root, 'program')
  await writeFile(program, makeElf({ needed: ['libone.so'], rpath: '$ORIGIN/old', runpath: '$ORIGIN/new' }))
  await t.rejects(libraries(program), {
    code: 'HOST_LIBRARY_NOT_FOUND',
    message: /libone\.so .*needs the library libtwo\.so/,
  })
  await writeFile(program, makeElf({ needed: ['libone.so'], rpath: '$ORIGIN/old:$ORIGIN/new' }))
  t.strictSame(await libraries(program), [join(root, 'new/libone.so'), join(root, 'old/libtwo.so')])
})

t.test('musl: its own path file, its own libraries, search paths inherited', async (t) => {
  const root = t.testdir({
    etc: {},
    lib: {},
    own: {},
    deep: {},
  })
  const loader = join(root, 'lib/ld-musl-x86_64.so.1')
  await writeFile(loader, makeElf({ soname: 'libc.musl-x86_64.so.1' }))
  await writeFile(
    join(root, 'own/libown.so.1'),
    makeElf({ soname: 'libown.so.1', needed: ['libc.so', 'libpthread.so.0', 'libdeep.so.2'] }),
  )
  await writeFile(join(root, 'deep/libdeep.so.2'), makeElf({ soname: 'libdeep.so.2' }))
  const program = join(root, 'program')
  await writeFile(
    program,
    makeElf({ interpreter: loader, needed: ['libown.so.1', 'libc.musl-x86_64.so.1'], runpath: '$ORIGIN/deep' }),
  )

  await t.rejects(libraries(program), { code: 'HOST_LIBRARY_NOT_FOUND' })
  await writeFile(join(root, 'etc/ld-musl-x86_64.path'), `${root}/none\n${root}/own\n`)
  t.strictSame(await libraries(program), [loader, join(root, 'own/libown.so.1'), join(root, 'deep/libdeep.so.2')])
  const host = new HostFiles()
  t.equal(await new SystemLibraries(host).muslConfiguration(loader), join(root, 'etc/ld-musl-x86_64.path'))
})

t.test('a static program needs nothing', async (t) => {
  const file = join(t.testdir(), 'static')
  await writeFile(file, makeElf({}))
  t.strictSame(await libraries(file), [])
  t.ok((await readFile(file)).length > 0)
})
