/** Whatever is asked for wrongly is told with a code and words that help, and leaves nothing behind. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { PodlingError, Runtime, type ContainerOptions, type ErrorCode } from 'podling'
import { cgroupParent, containerFiles } from '../fixtures/leftovers.js'
import { longName, tar } from '../fixtures/tar.js'
import { busyboxRootfs, testRuntime, type RootfsChanges } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image, root } = setup

type Options = Partial<ContainerOptions>

async function failure(work: Promise<unknown>): Promise<PodlingError> {
  try {
    await work
  } catch (error) {
    if (error instanceof PodlingError) return error
    throw error
  }
  throw new Error('nothing failed')
}

/** The code is for programs, the message says what was tried, why it failed and, behind a semicolon, what to do. */
async function fails(t: Test, options: Options, code: ErrorCode, message: RegExp): Promise<void> {
  const error = await failure(runtime.run({ image, command: ['true'], name: 'failing', network: 'none', ...options }))
  t.equal(error.code, code, error.message)
  t.match(error.message, message)
  await nothingLeft(t)
}

async function nothingLeft(t: Test): Promise<void> {
  t.strictSame(await runtime.containers.list(), [])
  t.strictSame(
    (await containerFiles(root)).filter((path) => !path.startsWith('run/owners/')),
    [],
  )
  const cgroups = await Promise.all(
    ['.', ...(await readdir('/sys/fs/cgroup'))].map(async (hierarchy) => {
      const path = `/sys/fs/cgroup/${hierarchy}/${cgroupParent(root)}`
      const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
      return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('warm-')).map(({ name }) => name)
    }),
  )
  t.strictSame(cgroups.flat(), [])
}

/** Run to the end: exit code and output. */
async function output(options: Options): Promise<string> {
  await using container = await runtime.run({ image, command: ['true'], network: 'none', ...options })
  const { exitCode } = await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return exitCode === 0 ? lines.join('\n') : `${String(exitCode)}: ${lines.join('\n')}`
}

let images = 0
async function imageWith(changes: RootfsChanges): Promise<string> {
  const ref = `bad:${String(images++)}`
  await runtime.images.import(await busyboxRootfs(changes), { ref })
  return ref
}

t.test('images', async (t) => {
  await fails(t, { image: 'nowhere:1' }, 'IMAGE_NOT_FOUND', /nowhere:1.*not|no .*nowhere:1 here; get it with/)
  await fails(t, { image: 'UPPER CASE' }, 'INVALID_REFERENCE', /"UPPER CASE".*position 6/)
  await fails(t, { image: '../../etc' }, 'INVALID_REFERENCE', /\.\./)
  await fails(t, { platform: 'plan9/mips' }, 'PLATFORM_NOT_FOUND', /plan9\/mips.*; /)
})

t.test('commands', async (t) => {
  const missing = /^execute .*: no such program in the container; give its absolute path/
  await fails(t, { command: ['nothing'] }, 'COMMAND_NOT_FOUND', missing)
  await fails(t, { command: ['./nothing'] }, 'COMMAND_NOT_FOUND', missing)
  await fails(t, { command: ['/etc/passwd/x'] }, 'COMMAND_NOT_FOUND', missing)
  await fails(t, { command: ['x'.repeat(5000)] }, 'COMMAND_NOT_FOUND', missing)
  await fails(
    t,
    { command: ['no-interpreter'] },
    'COMMAND_NOT_FOUND',
    /its interpreter or loader is not; add to the image/,
  )
  await fails(t, { command: ['not-executable'] }, 'COMMAND_NOT_EXECUTABLE', /not executable \(EACCES\); it must be/)
  await fails(t, { command: ['/etc'] }, 'COMMAND_NOT_EXECUTABLE', /not executable \(EACCES\); it must be/)
  await fails(t, { command: ['rubbish'] }, 'COMMAND_NOT_EXECUTABLE', /ENOEXEC\); a script needs/)
  await fails(t, { command: [''] }, 'INVALID_OPTION', /must not be an empty string/)
  await fails(t, { command: ['a\0b'] }, 'INVALID_OPTION', /command\[0\].*NUL/)
  await fails(t, { env: { A: 'x\0y' } }, 'INVALID_OPTION', /env\.A.*NUL/)
  await fails(
    t,
    { command: ['echo', 'x'.repeat(200_000)] },
    'LIMIT_REACHED',
    /^execute echo: .*E2BIG\); one string can have/,
  )
})

t.test('users', async (t) => {
  await fails(t, { user: 'nobody-here' }, 'USER_NOT_FOUND', /become the user nobody-here: no such user.*; name one/)
  await fails(t, { user: 'app:nobody-here' }, 'USER_NOT_FOUND', /no such group.*; name one/)
  for (const user of [-1, 2 ** 32 - 1, 2 ** 40])
    await fails(t, { user }, 'INVALID_OPTION', /user: must be 0\.\.4294967294/)
  await fails(t, { user: '4294967295' }, 'INVALID_OPTION', /user: must be/)
  await fails(t, { user: 'a:b:c' }, 'INVALID_OPTION', /user: must be/)
})

t.test('a hostile /etc/passwd', async (t) => {
  const passwd = async (entry: Record<string, unknown>) => {
    return imageWith({ without: ['etc/passwd'], add: [{ name: 'etc/passwd', ...entry }] })
  }
  const name = { user: 'app', command: ['sh', '-c', 'id -u 2>/dev/null; echo $HOME'] }
  const lines = 'x'.repeat(1_000_000) + '\n' + ':'.repeat(100_000) + '\n\0\0:\0:1:1::/:\nroot:x:0\n'
  const strange = await passwd({
    content: `${lines}big:x:4294967295:0::/:\nhuge:x:99999999999:0::/:\nminus:x:-1:0::/:\napp:x:7:8::/home/app:`,
  })
  t.equal(await output({ ...name, image: strange }), '7\n/home/app')
  for (const user of ['big', 'huge', 'minus'])
    await fails(t, { image: strange, user }, 'USER_NOT_FOUND', /no such user/)
  const nulHome = await passwd({ content: 'app:x:7:8::/home\0/app:/bin/sh\n' })
  t.equal(await output({ ...name, image: nulHome }), '7\n', 'a home with a NUL is none')

  const notAFile = /etc\/passwd of the image is not a regular file; mend the image/
  await fails(t, { ...name, image: await passwd({ type: 'directory' }) }, 'USER_NOT_FOUND', notAFile)
  await fails(t, { ...name, image: await passwd({ type: 'fifo' }) }, 'USER_NOT_FOUND', notAFile)
  const device = await passwd({ type: 'character-device', devmajor: 1, devminor: 5 })
  await fails(t, { ...name, image: device }, 'USER_NOT_FOUND', notAFile)
  await fails(
    t,
    { ...name, image: await passwd({ content: Buffer.alloc(70 * 1024 * 1024) }) },
    'USER_NOT_FOUND',
    /too large; mend/,
  )
  // It leads to the image's own file, whatever the host has there.
  const out = await passwd({ type: 'symlink', linkname: '../../../../../../../etc/shadow' })
  await fails(t, { ...name, image: out, user: 'daemon' }, 'USER_NOT_FOUND', /no such user/)
  const environ = await passwd({ type: 'symlink', linkname: '/proc/self/environ' })
  await fails(t, { ...name, image: environ }, 'USER_NOT_FOUND', /no such user/)
  const magic = await passwd({ type: 'symlink', linkname: '/proc/self/fd/3' })
  t.equal(
    (await failure(runtime.run({ ...name, image: magic, network: 'none' }))).code,
    'START_FAILED',
    'nor do links of /proc',
  )
  await nothingLeft(t)
})

t.test('working directories', async (t) => {
  t.equal(await output({ workdir: '/out/inside', command: ['pwd'] }), '/tmp/inside', 'a link out leads inside')
  await fails(
    t,
    { workdir: '/etc/passwd' },
    'WORKDIR_INVALID',
    /change into the directory \/etc\/passwd: ENOTDIR; choose/,
  )
  await fails(t, { workdir: '/proc/self/fd/3' }, 'WORKDIR_INVALID', /; choose/)
  await fails(t, { workdir: 'relative' }, 'INVALID_OPTION', /workdir: must be an absolute path/)
})

t.test('all mistakes at once', async (t) => {
  const error = await failure(
    runtime.run({
      image,
      memory: 'lots',
      cpus: -1,
      pidsLimit: 1.5,
      user: -1,
      env: { 'A=B': 'x' },
      hostname: 'x'.repeat(65),
      network: '-no name-',
      volumes: ['no/name:/x'],
      tmpfs: ['/x:sise=1m'],
      cpuset: 'all',
      name: '../x',
      colour: 'red',
    } as unknown as ContainerOptions),
  )
  t.equal(error.code, 'INVALID_OPTION')
  for (const option of [
    'memory',
    'cpus',
    'pidsLimit',
    'user',
    'env',
    'hostname',
    'network',
    'volumes[0]',
    'tmpfs[0]',
    'cpuset',
    'name',
    'colour',
  ])
    t.match(error.message, `\n  ${option}: `)
  await nothingLeft(t)
})

t.test('limits', async (t) => {
  await fails(t, { memory: 1000 }, 'INVALID_OPTION', /memory: must be at least 512k/)
  await fails(t, { cpuset: '4096' }, 'INVALID_OPTION', /4096 .*no such cpu.*; cpuset can name/)
  await fails(t, { ulimits: { nofile: 2 ** 31 } }, 'PERMISSION_DENIED', /RLIMIT_NOFILE.*; RLIMIT_NOFILE can be at most/)
  await fails(t, { ulimits: { nofile: { soft: 20, hard: 10 } } }, 'INVALID_OPTION', /ulimits\.nofile: soft must not/)
  await fails(t, { sysctls: { 'net.ipv4.no_such': 1 } }, 'INVALID_OPTION', /no such sysctl.*; look below/)
  await fails(t, { sysctls: { 'net.ipv4.ip_forward': 'x' } }, 'INVALID_OPTION', /no such value.*; choose/)
  await fails(t, { sysctls: { 'kernel.panic': 1 } }, 'INVALID_OPTION', /belongs to the whole host/)
  t.equal(await output({ cpus: 1000 }), '', 'more than the machine has is no limit')
})

t.test('a label without SELinux', { skip: existsSync('/sys/fs/selinux/enforce') && 'there is SELinux' }, async (t) => {
  await fails(
    t,
    { selinux: { type: 'container_t' } },
    'KERNEL_UNSUPPORTED',
    /no SELinux.*; boot with .* leave the option/,
  )
  t.equal(await output({ selinux: { disable: true }, command: ['echo', 'hi'] }), 'hi', 'none is none')
})

const apparmor = existsSync('/sys/module/apparmor/parameters/enabled')
t.test('a profile without AppArmor', { skip: apparmor && 'there is AppArmor' }, async (t) => {
  await fails(t, { apparmor: 'mine' }, 'KERNEL_UNSUPPORTED', /no AppArmor.*; boot with .* leave the option/)
  t.equal(await output({ apparmor: 'unconfined', command: ['echo', 'hi'] }), 'hi', 'none is none')
})

t.test('seccomp profiles', async (t) => {
  const dir = t.testdir({ rubbish: 'not json\u001b[31m', empty: '{}' })
  await fails(t, { seccomp: `${dir}/missing` }, 'SECCOMP_PROFILE_INVALID', /missing can't be read.*ENOENT/)
  await fails(t, { seccomp: dir }, 'SECCOMP_PROFILE_INVALID', /can't be read.*EISDIR/)
  await fails(t, { seccomp: `${dir}/rubbish` }, 'SECCOMP_PROFILE_INVALID', /rubbish is no JSON/)
  await fails(t, { seccomp: `${dir}/empty` }, 'SECCOMP_PROFILE_INVALID', /defaultAction/)
  await fails(
    t,
    { seccomp: { defaultAction: 'SCMP_ACT_KILL_PROCESS' } },
    'START_FAILED',
    /killed by SIGSYS; the seccomp profile must allow/,
  )
})

t.test('mounts', async (t) => {
  await fails(
    t,
    { volumes: ['/no/such:/data'] },
    'MOUNT_SOURCE_NOT_FOUND',
    /bind \/no\/such at \/data: .*; make it on the host/,
  )
  await fails(
    t,
    { volumes: ['/tmp:/etc/passwd'] },
    'INVALID_OPTION',
    /one of source and target is a directory.*; mount a/,
  )
  await fails(
    t,
    { volumes: ['/etc/hostname:/etc'] },
    'INVALID_OPTION',
    /one of source and target is a directory.*; mount a/,
  )
  await fails(t, { volumes: ['/tmp:/etc/passwd/x'] }, 'INVALID_OPTION', /below a file of the image.*; choose/)
  await fails(t, { tmpfs: ['/x:uid=99999999999'] }, 'INVALID_OPTION', /tmpfs takes no such option.*; see mount/)
  await fails(t, { tmpfs: ['/x:sise=1m'] }, 'INVALID_OPTION', /tmpfs\[0\]: unknown mount option/)
  await fails(t, { volumes: ['/tmp:/proc/x'] }, 'INVALID_OPTION', /\/proc is the kernel's/)
})

t.test('much of everything works', async (t) => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => i)
  const words = many(2000).map(() => 'x'.repeat(100))
  t.equal(await output({ command: ['sh', '-c', 'echo $#', 'sh', ...words] }), '2000')
  const env = Object.fromEntries(many(10_000).map((i) => [`MANY_${String(i)}`, 'x']))
  t.equal(await output({ command: ['sh', '-c', 'env | grep -c ^MANY_'], env }), '10000')
  const volumes = many(1000).map((i) => `/etc/hostname:/many/${String(i)}:ro`)
  t.equal(await output({ command: ['sh', '-c', 'grep -c " /many/" /proc/mounts'], volumes }), '1000')
})

t.test('names that two processes want', async (t) => {
  const other = await Runtime.open({ root })
  const options = { image, command: ['true'], name: 'wanted', network: 'none' }
  const results = await Promise.allSettled(
    [runtime, other, runtime, other].map((one) => one.containers.create(options)),
  )
  const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as PodlingError] : []))
  t.strictSame(
    failed.map(({ code }) => code),
    ['NAME_IN_USE', 'NAME_IN_USE', 'NAME_IN_USE'],
  )
  t.match(failed[0]?.message, /taken by container [0-9a-f]{12}; remove that one/)
  await (await runtime.containers.get('wanted')).remove()
  await other.close()
  await nothingLeft(t)
})

t.test('verbs out of place', async (t) => {
  const container = await runtime.containers.create({
    image,
    command: ['sleep', '1000'],
    name: 'placed',
    network: 'none',
  })
  await t.rejects(container.exec(['true']), {
    code: 'INVALID_STATE',
    message: /exec container placed: it is created. Call start/,
  })
  await container.start()
  await t.rejects(container.start(), { code: 'INVALID_STATE', message: /it is running. It runs already/ })
  const other = await Runtime.open({ root })
  const seen = await other.containers.get('placed')
  await t.rejects(seen.start(), { code: 'INVALID_STATE', message: /it is running/ })
  await t.rejects(container.exec(['nothing']), { code: 'COMMAND_NOT_FOUND', message: /; give its absolute path/ })
  await t.rejects(container.exec([]), { code: 'INVALID_OPTION', message: /must name a command/ })
  await t.rejects(container.exec(['a\0b']), { code: 'INVALID_OPTION' })
  await t.rejects(container.exec(['true'], { user: 'nobody-here' }), { code: 'USER_NOT_FOUND' })
  await t.rejects(container.exec(['true'], { workdir: '/etc/passwd' }), { code: 'WORKDIR_INVALID' })
  await container.stop()
  await t.rejects(container.exec(['true']), { code: 'INVALID_STATE', message: /it is exited. Call start/ })
  await container.remove()
  await other.close()
  await t.rejects(other.containers.create({ image }), { code: 'RUNTIME_CLOSED', message: /open it again/ })
  await nothingLeft(t)
})

t.test('layers that go too far', async (t) => {
  const strict = await Runtime.open({
    root: `${root}/strict`,
    layers: { maxBytes: '1m', maxEntries: 100, absoluteNames: 'refuse' },
  })
  t.teardown(() => strict.close())
  const comes = async (bytes: Buffer, code: ErrorCode, message: RegExp) => {
    const error = await failure(strict.images.import(Readable.from([bytes])))
    t.equal(error.code, code, error.message)
    t.match(error.message, message)
    await nothingStored(bytes.length)
  }
  const nothingStored = async (what: unknown) => {
    t.strictSame(await strict.images.list(), [], String(what))
    for (const place of ['layers', 'layers/tmp', 'content/sha256', 'content/partial'])
      t.strictSame(
        (await readdir(`${root}/strict/${place}`)).filter((name) => name !== 'tmp'),
        [],
        place,
      )
  }
  const zeros = tar({ name: 'zeros', contents: Buffer.alloc(5_000_000) })
  for (const bomb of [zeros, gzipSync(zeros)])
    await comes(bomb, 'LAYER_TOO_LARGE', /more than 1048576 bytes uncompressed/)
  const archive = gzipSync(tar({ name: 'a/layer.tar', contents: zeros }, { name: 'manifest.json', contents: '[]' }))
  const error = await failure(strict.images.load(Readable.from([archive])))
  t.equal(error.code, 'LAYER_TOO_LARGE', error.message)
  await nothingStored('an archive that is packed small')
  await comes(
    tar(...Array.from({ length: 101 }, (_, i) => ({ name: `f${String(i)}` }))),
    'LAYER_TOO_LARGE',
    /100 entries/,
  )
  await comes(tar({ name: '/etc/passwd' }), 'LAYER_INVALID', /an absolute name/)
  await comes(tar({ name: '../evil' }), 'LAYER_INVALID', /`\.\.`/)
  await comes(tar(longName(`${'x/'.repeat(2500)}y`), { name: 'x' }), 'LAYER_INVALID', /5001 bytes/)
  await comes(tar({ name: 'l', type: '2', link: '/etc' }, { name: 'l/evil' }), 'LAYER_INVALID', /leads out of/)
  await comes(tar({ name: 'h', type: '1', link: '../../etc/shadow' }), 'LAYER_INVALID', /hard link/)
  await comes(tar({ name: 'x', contents: 'x'.repeat(5000) }).subarray(0, 2048), 'LAYER_INVALID', /cut short/)
  await comes(Buffer.alloc(0), 'ARCHIVE_INVALID', /empty/)
  const taken = await runtime.images.import(Readable.from([tar({ name: '/app/run', contents: 'x' })]))
  await runtime.images.remove(taken)
  for (const [layers, message] of [
    [{ maxBytes: 'lots' }, /layers\.maxBytes: must be a number of bytes or a size/],
    [{ maxEntries: -1, absoluteNames: 'keep' }, /layers\.maxEntries: .*; layers\.absoluteNames: must be 'strip' or/],
    [{ maxSize: 1 }, /layers\.maxSize: unknown option; there are maxBytes, maxEntries/],
    [7, /layers: must be an object, got 7/],
  ] as const) {
    const error = await failure(Runtime.open({ root: `${root}/never`, layers: layers as never }))
    t.equal(error.code, 'INVALID_OPTION')
    t.match(error.message, message)
  }
})

t.test('roots that can be none', async (t) => {
  const dir = `${root}/other`
  await mkdir(dir)
  await writeFile(`${dir}/file`, '')
  const opens = async (options: object, code: ErrorCode, message: RegExp) => {
    const error = await failure(Runtime.open(options).then((opened) => opened.close()))
    t.equal(error.code, code, error.message)
    t.match(error.message, message)
  }
  await opens({ root: `${dir}/file` }, 'INVALID_OPTION', /file is there, and is no directory; choose another/)
  await opens({ root: `${dir}/file/below` }, 'INVALID_OPTION', /below something that is no directory; choose/)
  await opens({ root: '/proc/podling' }, 'INVALID_OPTION', /where no directory can be made; choose/)
  await opens({ root: '/sys/podling' }, 'PERMISSION_DENIED', /\/sys\/podling: EPERM/)
  await opens({ root: `/tmp/${'x'.repeat(100)}` }, 'INVALID_OPTION', /too long for the sockets in it.*; give a shorter/)
  await opens({ root: '/tmp/a\0b' }, 'INVALID_OPTION', /root: must be the path/)
  await opens({ root: 5, rooot: 'x' }, 'INVALID_OPTION', /root: must be .*; rooot: unknown option/)
  await mkdir(`${dir}/damaged/database`, { recursive: true })
  await writeFile(`${dir}/damaged/database/state.mdb`, 'no database'.repeat(1000))
  await opens({ root: `${dir}/damaged` }, 'STATE_INVALID', /state\.mdb.*Move it away/)
})
