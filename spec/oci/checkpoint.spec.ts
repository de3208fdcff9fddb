/** Checkpoints by podling-oci, as runc makes them: with a real CRIU, beside runc. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { close, pipe } from '../../lib/sys/descriptors.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { within } from '../fixtures/leftovers.js'
import { ociRuntime, runs, said, type OciRuntime } from '../fixtures/oci.js'
import { needs } from '../peers.js'

const counts = runs('sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done')
const needed = needs('root', 'busybox', 'runc', 'criu')
const names = ['runc', 'podling-oci'] as const

/** Begin a command on a pipe, as engines do, which its container goes on to write to. Node's own would be sockets. */
function onPipe({ program, root }: OciRuntime, ...words: string[]): { child: ChildProcess; lines: string[] } {
  const { read, write } = pipe()
  const child = spawn(program, ['--root', root, ...words], { stdio: ['ignore', write, write] })
  close(write)
  const lines: string[] = []
  createInterface({ input: new Socket({ fd: read }) }).on('line', (line) => lines.push(line))
  return { child, lines }
}

const atLeast = async (lines: readonly string[], count: number): Promise<readonly string[]> =>
  within(30_000, () => Promise.resolve(lines), () => lines.length >= count) // prettier-ignore

/** Begin a command that leaves a container behind. @returns what that writes */
async function leaving(runtime: OciRuntime, ...words: string[]): Promise<string[]> {
  const { child, lines } = onPipe(runtime, ...words)
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`${runtime.name} ${words.join(' ')}: ${String(code)}: ${lines.join('\n')}`)
  return lines
}

t.test('a container goes on where it was written down, as one like any other', needed, async (t) => {
  for (const name of names) {
    const runtime = await ociRuntime(t, name)
    const directory = await temporaryDirectory(t, 'podling-oci-images-')
    const images = ['--image-path', join(directory, 'images'), '--work-path', join(directory, 'work')]
    const bundle = runtime.bundle(counts)
    const before = await leaving(runtime, 'run', '--detach', '--bundle', bundle, 'c')
    await atLeast(before, 5)
    await runtime.must('checkpoint', ...images, '--leave-running', 'c')
    t.equal(await runtime.status('c'), 'running', 'it goes on')
    await runtime.must('exec', 'c', 'sh', '-c', 'echo kept > /dev/shm/file')
    await runtime.must('checkpoint', ...images, 'c')
    t.equal(await runtime.status('c'), 'absent', 'nothing is left of it but the images')
    t.match(readFileSync(join(directory, 'work/dump.log'), 'utf8'), /Dumping finished successfully/)
    t.match(
      readFileSync(join(directory, 'images/descriptors.json'), 'utf8'),
      /^\["[^"]*","pipe:\[\d+\]","pipe:\[\d+\]"\]$/,
    )

    const pidFile = join(directory, 'pid')
    const restore = ['restore', '--detach', '--bundle', bundle, '--pid-file', pidFile, ...images]
    const after = await leaving(runtime, ...restore, 'again')
    await atLeast(after, 3)
    t.match(Number(after[0]) - Number(before.at(-1)), /^[01]$/, `it goes on with ${after[0]!} after ${before.at(-1)!}`)
    const state = JSON.parse(await runtime.must('state', 'again')) as { pid: number; status: string }
    t.equal(state.status, 'running')
    t.equal(state.pid, Number(readFileSync(pidFile, 'utf8')))
    t.ok((JSON.parse(await runtime.must('ps', '--format', 'json', 'again')) as number[]).includes(state.pid))
    t.equal(await runtime.must('exec', 'again', 'cat', '/dev/shm/file'), 'kept\n')
    t.equal(
      await runtime.must('exec', 'again', 'sh', '-c', 'ls /proc/1/fd | wc -w'),
      '3\n',
      'it has nothing open of ours',
    )
    await runtime.must('pause', 'again')
    t.equal(await runtime.status('again'), 'paused')
    await runtime.must('resume', 'again')
    const { data } = JSON.parse(await runtime.must('events', '--stats', 'again')) as {
      data: { pids: { current: number } }
    }
    t.ok(data.pids.current >= 1, 'it is in its cgroups')
    t.match(await runtime.call(...restore, 'again'), { code: 1, stderr: /container with given ID already exists/ })
    await runtime.must('kill', 'again', 'KILL')
    await runtime.until('again', 'stopped')
    await runtime.must('delete', 'again')
    t.notOk(readdirSync(runtime.root).includes('again'))
  }
})

t.test('a restore that waits gives the exit status, and leaves nothing', needed, async (t) => {
  const runtime = await ociRuntime(t)
  const images = ['--image-path', await temporaryDirectory(t, 'podling-oci-images-')]
  const bundle = runtime.bundle(
    runs('sh', '-c', 'trap "echo told; exit 7" TERM; echo begun; while :; do sleep 0.05; done'),
  )
  await atLeast(await leaving(runtime, 'run', '--detach', '--bundle', bundle, 'c'), 1)
  await runtime.must('checkpoint', ...images, 'c')
  const { child: waiting, lines } = onPipe(runtime, 'restore', '--bundle', bundle, ...images, 'c')
  const ended = once(waiting, 'exit')
  await runtime.until('c', 'running')
  waiting.kill('SIGTERM')
  t.strictSame(await ended, [7, null])
  t.strictSame(await atLeast(lines, 1), ['told'])
  t.equal(await runtime.status('c'), 'absent')
})

t.test('what can not be done is told in the words of runc', needed, async (t) => {
  const outcomes: unknown[] = []
  for (const name of names) {
    const runtime = await ociRuntime(t, name)
    const directory = await temporaryDirectory(t, 'podling-oci-images-')
    const bundle = runtime.bundle(counts)
    const told: unknown[] = []
    outcomes.push(told)
    const tell = async (...words: string[]): Promise<void> => {
      const { code, stderr } = await runtime.call(...words)
      told.push([
        words[0],
        code,
        said(stderr)
          .replaceAll(said(directory), '')
          .replace(/(?<=missing features)[^"]*/, ''),
      ])
    }
    const images = ['--image-path', join(directory, 'images')]
    await tell('checkpoint', ...images, 'c')
    await runtime.must('create', '--bundle', bundle, 'c')
    await tell('checkpoint', ...images, 'c')
    await runtime.must('kill', 'c', 'KILL')
    await runtime.until('c', 'stopped')
    await tell('checkpoint', ...images, 'c')
    await runtime.must('delete', 'c')
    await leaving(runtime, 'run', '--detach', '--bundle', bundle, 'c')
    await tell('checkpoint', ...images, '--parent-path', '/absolute', 'c')
    await tell('checkpoint', ...images, '--parent-path', '../nothing', 'c')
    await tell('checkpoint', ...images, '--page-server', 'nowhere', 'c')
    await tell('checkpoint', ...images, '--manage-cgroups-mode', 'none', 'c')
    await tell('restore', '--bundle', bundle, ...images, 'c')
    const other = ['restore', '--bundle', runtime.bundle(counts), ...images]
    await tell(...other, 'd')
    await tell(...other, '--console-socket', '/nowhere', 'd')
    await tell('features')
    t.equal(await runtime.status('c'), 'running')
    t.equal(await runtime.status('d'), 'absent')
  }
  t.strictSame(outcomes[1], outcomes[0])
})

t.test('a failure of CRIU is told with its reason and its log, and leaves what was there', needed, async (t) => {
  const runtime = await ociRuntime(t)
  const directory = await temporaryDirectory(t, 'podling-oci-images-')
  const images = ['--image-path', join(directory, 'images')]
  const bundle = runtime.bundle(counts)
  // What is open there is a file of the host's, which the container could not name.
  await runtime.must('run', '--detach', '--bundle', bundle, 'c')
  t.match(await runtime.call('checkpoint', ...images, 'c'), {
    code: 1,
    stderr: /criu failed: type DUMP errno \d+: Can't lookup mount.*\\nlog file: .*images\/dump\.log/,
  })
  t.equal(await runtime.status('c'), 'running')
  await runtime.must('delete', '--force', 'c')

  await atLeast(await leaving(runtime, 'run', '--detach', '--bundle', bundle, 'c'), 1)
  await runtime.must('checkpoint', ...images, 'c')
  const { stderr, code } = await runtime.call(
    '--criu',
    '/bin/false',
    'restore',
    '--bundle',
    runtime.bundle(counts),
    ...images,
    'c',
  )
  t.match(stderr, /criu failed: type RESTORE errno 0: it gives no reason\\nlog file: .*images\/restore\.log/)
  t.equal(code, 1)
  t.equal(await runtime.status('c'), 'absent')
  const { stdout } = await runtime.call('features')
  t.match(JSON.parse(stdout), { annotations: { 'org.opencontainers.runc.checkpoint.enabled': 'true' } })
})
