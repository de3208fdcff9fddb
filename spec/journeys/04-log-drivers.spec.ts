/** The drivers that keep logs in files, and those that keep none; journald has a spec of its own. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Container, ContainerOptions, LogOptions } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image, root } = setup
const sh = (script: string) => ({ image, command: ['sh', '-c', script], network: 'none' as const })

async function texts(container: Container, options: LogOptions = {}): Promise<string[]> {
  const lines = []
  for await (const { text } of container.logs(options)) lines.push(text)
  return lines
}

t.test("json-file is Docker's format, with a tag", async (t) => {
  const words = 'echo "<a> \\"b\\""; printf "\\377\\n"; printf "€ half"'
  const more = { logDriver: 'json-file', logOptions: { tag: '{{.Name}}/{{.ImageName}}' }, name: 'jay' } as const
  await using container = await runtime.run({ ...sh(words), ...more })
  await container.wait()
  const { logPath, logDriver } = container.inspect()
  t.equal(logDriver, 'json-file')
  const entries = readFileSync(logPath!, 'utf8').trimEnd().split('\n')
  const rest = '","stream":"stdout","attrs":{"tag":"jay/docker.io/library/busybox:test"},"time":"T"}'
  t.strictSame(
    entries.map((entry) => entry.replace(/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"/, '"time":"T"')),
    [`{"log":"\\u003ca\\u003e \\"b\\"\\n${rest}`, `{"log":"\\ufffd\\n${rest}`, `{"log":"€ half${rest}`],
  )
  t.strictSame(await texts(container, { tail: 1 }), ['\ufffd', '€ half'])
  t.match((await texts(container, { timestamps: true }))[0], /^\d{4}-.*Z <a> "b"$/)
})

for (const logDriver of ['k8s-file', 'json-file'] as const) {
  t.test(`${logDriver}: full files make room, and a follower sees every line`, async (t) => {
    const logOptions = { maxSize: '256k', maxFiles: 2 }
    const script = 'echo 0; while [ ! -e /dev/shm/go ]; do sleep 0.01; done; seq 1 60000'
    await using container = await runtime.run({ ...sh(script), logDriver, logOptions })
    let next = 0
    for await (const { text, gap } of container.logs({ follow: true })) {
      if (gap || text !== String(next)) t.fail(`${text} in the place of ${String(next)}`)
      // It stands in the first file from here on, and no more files come than are held for it: of 3 MB, 12.
      if (next++ === 0) await container.exec(['touch', '/dev/shm/go'])
    }
    t.equal(next, 60_001)
    const path = container.inspect().logPath!
    const files = readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.`))
    t.ok(files.length > 0, `in ${String(files.length + 1)} files`)

    await container.start()
    await container.exec(['touch', '/dev/shm/go'])
    await container.wait()
    // A line that began in a file that is gone has its end here.
    const [, ...kept] = await texts(container)
    t.ok(kept.length < 60_000 && kept.length > 500, `nobody follows: ${String(kept.length)} lines are kept`)
    t.strictSame(
      kept,
      Array.from({ length: kept.length }, (_, i) => String(60_001 - kept.length + i)),
      'the last ones',
    )
    t.strictSame(await texts(container, { tail: 800 }), kept.slice(-800), 'the tail goes back over files')
  })
}

t.test('a path of your own', async (t) => {
  const path = join(root, 'own.log')
  {
    await using container = await runtime.run({ ...sh('echo one and more; sleep 1000'), logOptions: { path } })
    t.equal(container.inspect().logPath, path)
    const seen: string[] = []
    for await (const { text } of container.logs({ follow: true })) {
      seen.push(text)
      if (seen.length === 1) {
        truncateSync(path)
        const { pid } = container
        execFileSync('sh', ['-c', `echo two > /proc/${String(pid)}/fd/1`])
      } else break
    }
    t.strictSame(seen, ['one and more', 'two'], 'emptied by somebody else, as logrotate does')
  }
  t.match(readFileSync(path, 'utf8'), / stdout F two\n$/, 'it stays')
})

t.test('paths that are no files', async (t) => {
  mkdirSync(join(root, 'directory'))
  symlinkSync('/etc/passwd', join(root, 'link'))
  execFileSync('mkfifo', [join(root, 'fifo')])
  const before = readFileSync('/etc/passwd')
  for (const [name, why] of [
    ['directory', /a directory/],
    ['link', /a symbolic link/],
    ['fifo', /no regular file/],
    ['no/such', /no such directory.*make it first/],
  ] as const) {
    const started = runtime.run({ ...sh('echo x'), logOptions: { path: join(root, name) } })
    await t.rejects(started, { code: 'INVALID_OPTION', message: why }, name)
  }
  t.strictSame(readFileSync('/etc/passwd'), before)
  t.strictSame(await runtime.containers.list(), [])
})

t.test('wrong options, all at once', async (t) => {
  const tries: [Partial<ContainerOptions>, RegExp][] = [
    [{ logOptions: { path: 'a.log' } }, /logOptions.path: must be an absolute path/],
    [{ logOptions: { path: '/var/../etc/x' } }, /logOptions.path: must be the path of a file, without/],
    [{ logOptions: { path: '/var/log/' } }, /logOptions.path/],
    [{ logOptions: { maxSize: '1k' } }, /logOptions.maxSize: must be at least 64k/],
    [{ logOptions: { maxSize: '1m', maxFiles: 0 } }, /logOptions.maxFiles: must be 1..1000/],
    [{ logOptions: { maxFiles: 3 } }, /logOptions.maxFiles: has no effect without maxSize/],
    [{ logOptions: { tag: 'a' } }, /logOptions.tag: has no effect with logDriver: 'k8s-file'/],
    [
      { logDriver: 'journald', logOptions: { tag: '{{.Nam}}' } },
      /logOptions.tag: has no field .* did you mean \{\{.Name/,
    ],
    [
      { logDriver: 'journald', logOptions: { path: '/x' } },
      /logOptions.path: has no effect with logDriver: 'journald'/,
    ],
    [{ logDriver: 'none', logOnFull: 'stop' }, /logOnFull: has no effect with logDriver: 'none'/],
    [{ logDriver: 'none', ready: { log: /x/ } }, /ready: a log check finds nothing with logDriver: 'none'/],
    [{ logDriver: 'k8sfile' as 'k8s-file' }, /logDriver: .*did you mean 'k8s-file'/],
    [
      { logOptions: { maxsize: '1m' } as object },
      /logOptions.maxsize: unknown option of a log driver; did you mean maxSize/,
    ],
  ]
  for (const [options, message] of tries) {
    await t.rejects(runtime.run({ ...sh('true'), ...options }), { code: 'INVALID_OPTION', message })
  }
})

t.test('a log that takes nothing costs lines, or the container', async (t) => {
  const script = sh('while [ ! -e /dev/shm/go ]; do sleep 0.01; done; for i in 1 2 3; do echo $i; done; sleep 1000')
  const logOptions = { path: '/dev/full' }
  await using goesOn = await runtime.run({ ...script, logOptions })
  const told = new Promise((resolve) => goesOn.on('logLost', resolve))
  await goesOn.exec(['touch', '/dev/shm/go'])
  t.ok(Number(await told) > 0, 'it is told of')
  while ((goesOn.inspect().state.lostLogLines ?? 0) < 3) await new Promise((resolve) => setTimeout(resolve, 10))
  t.equal(goesOn.inspect().state.lostLogLines, 3)
  t.equal(goesOn.status, 'running')
  await goesOn.kill()
  t.equal((await goesOn.wait()).lostLogLines, 3)

  await using stops = await runtime.run({ ...script, logOptions, logOnFull: 'stop' })
  await stops.exec(['touch', '/dev/shm/go'])
  const exit = await stops.wait()
  t.equal(exit.signal, 'SIGKILL')
  t.ok(exit.lostLogLines > 0)
})

t.test('passthrough: the streams of the host are those of the container', async (t) => {
  const host = fileURLToPath(new URL('../fixtures/passthrough-host.js', import.meta.url))
  const args = [host, root, image.id]
  const { stdout, stderr } = spawnSync(process.execPath, args, { input: 'through\n', encoding: 'utf8' })
  t.equal(stdout, 'through\n')
  t.match(stderr, /wrong\n$/)

  const file = join(root, 'terminal')
  writeFileSync(file, '')
  const command = [process.execPath, ...args].join(' ')
  spawnSync('script', ['-q', '-e', '-c', command, file], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.match(
    readFileSync(file, 'utf8'),
    /passthrough' would give it the terminal at stdin, stdout, stderr of this process/,
  )
})
