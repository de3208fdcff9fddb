/** The logs of containers that their policies start again. */
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'
import { watchScreen } from '../fixtures/screen.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const common = { image, network: 'none' } as const satisfies ContainerOptions

const LINES = 1000
/** Says its lines, and once more without an end, as one that is killed in the middle of a line does. */
const script = `echo run >> /runs; n=$(wc -l < /runs); i=0; while [ $i -lt ${LINES} ]; do echo "run $n line $i"; i=$((i+1)); done; printf "run $n ends"; exit 1` // prettier-ignore
const said = (runs: number): string[] =>
  Array.from({ length: runs }, (_, run) => [
    ...Array.from({ length: LINES }, (_, line) => `run ${run + 1} line ${line}`),
    `run ${run + 1} ends`,
  ]).flat()

t.test('complete and in order over restarts, with rotation in between, and for who follows', async (t) => {
  for (const logDriver of ['k8s-file', 'json-file'] as const) {
    await using container = await runtime.containers.create({
      ...common,
      command: ['sh', '-c', script],
      restart: 'on-failure:4',
      logDriver,
      logOptions: { maxSize: '64k', maxFiles: 20 },
    })
    await container.start()
    const followed: string[] = []
    const following = (async () => {
      for await (const { text } of container.logs({ follow: true })) followed.push(text)
    })()
    t.match(await container.wait(), { exitCode: 1, restartCount: 4, lostLogLines: 0 })
    await following
    const lines: string[] = []
    for await (const { text } of container.logs()) lines.push(text)
    t.strictSame(lines, said(5), logDriver)
    t.strictSame(followed, lines, 'and who follows sees all of it')
  }
})

t.test('one that stops when its log takes nothing more is not started again', async (t) => {
  await using container = await runtime.run({
    ...common,
    command: ['sh', '-c', 'while [ ! -e /dev/shm/go ]; do sleep 0.01; done; while :; do echo more; done'],
    restart: 'always',
    logOptions: { path: '/dev/full' },
    logOnFull: 'stop',
  })
  await container.exec(['touch', '/dev/shm/go'])
  t.match(await container.wait(), { signal: 'SIGKILL', restartCount: 0, stoppedByUser: false })
})

t.test('a slow reader who is attached loses nothing of a run when the next one begins', async (t) => {
  await using container = await runtime.run({
    ...common,
    stdin: true,
    command: [
      'sh',
      '-c',
      'echo run >> /runs; n=$(wc -l < /runs); read line; yes "$line of run $n" | head -n 60000; exit 1',
    ],
    restart: 'on-failure:1',
  })
  const attached = await container.attach()
  const begun = new Promise<void>((resolve) => {
    container.once('restarting', () => {
      container.once('start', resolve)
    })
  })
  attached.stdin.write('words\n')
  await begun
  const text = await watchScreen(attached.stdout).ends()
  t.equal(text, 'words of run 1\n'.repeat(60_000), 'it is read only when the next run has begun')
  const again = await container.attach()
  const screen = watchScreen(again.stdout)
  again.stdin.write('more\n')
  t.match(await container.wait(), { exitCode: 1, restartCount: 1 })
  t.equal(await screen.ends(), 'more of run 2\n'.repeat(60_000))
})
