/** Calls that a profile leaves to somebody else: the listener goes to the socket that it names, and nowhere else. */
import { constants } from 'node:os'
import { join } from 'node:path'
import type { Container, ContainerOptions, SeccompProfile } from 'podling'
import t, { type Test } from 'tap'
import { syscallNumbers } from '../../lib/security/syscalls.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { ociRuntime, runs } from '../fixtures/oci.js'
import { testRuntime } from '../fixtures/runtime.js'
import { seccompAgent } from '../fixtures/seccomp-agent.js'
import { needs } from '../peers.js'

const numbers = syscallNumbers(process.arch === 'arm64' ? 'aarch64' : 'x86_64')
const makes = ['mkdir', 'mkdirat']
const refusesToMake = new Map(
  makes.flatMap((name): [number, number][] => {
    const number = numbers.get(name)
    return number === undefined ? [] : [[number, constants.errno.EROFS]]
  }),
)
const make = ['sh', '-c', 'mkdir /made 2>&1; ls -d /made 2>/dev/null; echo done']
const madeNothing = ["mkdir: can't create directory '/made': Read-only file system", 'done']

function asking(listenerPath: string, more: Partial<SeccompProfile> = {}): SeccompProfile {
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    listenerPath,
    listenerMetadata: 'told "so"',
    syscalls: [{ names: makes, action: 'SCMP_ACT_NOTIFY' }],
    ...more,
  }
}

async function linesOf(container: Container): Promise<string[]> {
  await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return lines
}

async function world(t: Test) {
  const setup = await testRuntime()
  t.teardown(() => setup[Symbol.asyncDispose]())
  const run = (options: Partial<ContainerOptions>) =>
    setup.runtime.run({ image: setup.image, network: 'none', ...options })
  return { ...setup, run }
}

t.test('at the start, and after a restart', needs('root', 'busybox'), async (t) => {
  const { run } = await world(t)
  const agent = await seccompAgent(t, refusesToMake)
  await using container = await run({
    command: [...make.slice(0, 2), `${make[2]!}; sleep 1000`],
    seccomp: asking(agent.socket),
  })
  await agent.until(1)
  t.match(agent.states[0], {
    fds: ['seccompFd'],
    pid: container.pid,
    metadata: 'told "so"',
    state: { id: container.id, status: 'creating', pid: container.pid, bundle: /^\// },
  })
  for await (const { text } of container.logs({ follow: true })) if (text === 'done') break
  t.equal(agent.calls.length, 1)
  await container.restart({ timeout: 0 })
  await agent.until(2)
  t.equal(agent.states[1]?.pid, container.pid)
})

t.test('who is under the filter has no listener of it', needs('root', 'busybox'), async (t) => {
  const { run } = await world(t)
  const agent = await seccompAgent(t, refusesToMake)
  const look = ['sh', '-c', 'for fd in /proc/1/fd/* /proc/self/fd/*; do readlink $fd; done; mkdir /made 2>&1']
  for (const init of [false, true]) {
    await using container = await run({ command: look, init, seccomp: asking(agent.socket) })
    const lines = await linesOf(container)
    t.equal(lines.at(-1), madeNothing[0])
    t.ok(
      lines.some((line) => line.startsWith('pipe:')),
      'it sees what is open',
    )
    t.notOk(
      lines.some((line) => line.includes('seccomp')),
      lines.join(', '),
    )
  }
})

t.test('a command that is brought in', needs('root', 'busybox'), async (t) => {
  const { run } = await world(t)
  for (const more of [
    {},
    { capAdd: ['SYS_PTRACE'] },
    { noNewPrivileges: true, user: 'app' },
  ] satisfies Partial<ContainerOptions>[]) {
    const agent = await seccompAgent(t, refusesToMake)
    await using container = await run({ command: ['sleep', '1000'], seccomp: asking(agent.socket), ...more })
    const { stdout } = await container.exec(make)
    t.strictSame(stdout.trim().split('\n'), madeNothing, JSON.stringify(more))
    await agent.until(2)
    t.match(agent.states[1]?.state, { id: container.id, status: 'running', pid: container.pid })
    t.not(agent.states[1]?.pid, container.pid)
  }
})

t.test('every call, of our own too, is for the agent to decide', needs('root', 'busybox'), async (t) => {
  const { run } = await world(t)
  const agent = await seccompAgent(t, refusesToMake)
  const seccomp = asking(agent.socket, { defaultAction: 'SCMP_ACT_NOTIFY', syscalls: [] })
  await using container = await run({ command: make, seccomp })
  t.strictSame(await linesOf(container), madeNothing)
})

t.test('a profile that refuses what the listener is sent with', needs('root', 'busybox'), async (t) => {
  const { run } = await world(t)
  const agent = await seccompAgent(t, refusesToMake)
  const seccomp = asking(agent.socket, {
    syscalls: [
      { names: makes, action: 'SCMP_ACT_NOTIFY' },
      { names: ['sendmsg', 'sched_yield', 'close', 'clone', 'exit'], action: 'SCMP_ACT_ERRNO' },
    ],
  })
  await using container = await run({ command: ['mkdir', '/made'], seccomp })
  t.strictSame(await linesOf(container), madeNothing.slice(0, 1))
  await using traced = await run({ command: ['sleep', '1000'], seccomp, capAdd: ['SYS_PTRACE'] })
  await t.rejects(traced.exec(['true']), { code: 'PERMISSION_DENIED', message: /does not allow sendmsg/ })
})

t.test('an agent that is not there, or goes away', needs('root', 'busybox'), async (t) => {
  const { run, runtime } = await world(t)
  const agent = await seccompAgent(t)
  await using container = await run({ command: ['sleep', '1000'], seccomp: asking(agent.socket) })
  await agent.until(1)
  await agent.end()
  const why = {
    code: 'START_FAILED',
    message: /listener of the seccomp filter to .*: nobody takes it \(ECONNREFUSED\)/,
  }
  await t.rejects(container.exec(['true']), why)
  await t.rejects(run({ command: ['true'], seccomp: asking(agent.socket) }), why)
  const absent = join(await temporaryDirectory(t, 'podling-agent-'), 'x'.repeat(200), 'socket')
  await t.rejects(run({ command: ['true'], seccomp: asking(absent) }), { code: 'START_FAILED', message: /\(ENOENT\)/ })
  t.equal((await runtime.containers.list()).length, 1, 'nothing is left of them')
})

t.test('hooks of the image would ask for a second listener', needs('root', 'busybox'), async (t) => {
  const { run } = await world(t)
  const agent = await seccompAgent(t)
  const hooks = { startContainer: [{ path: '/bin/true' }] }
  await t.rejects(run({ command: ['true'], hooks, seccomp: asking(agent.socket) }), {
    code: 'INVALID_OPTION',
    message: /hooks\.startContainer/,
  })
})

t.test('podling-oci', needs('root', 'busybox', 'runc'), async (t) => {
  const runtime = await ociRuntime(t)
  const agent = await seccompAgent(t, refusesToMake)
  const bundle = runtime.bundle((spec) => {
    runs('sleep', '1000')(spec)
    spec.linux.seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      listenerPath: agent.socket,
      syscalls: [{ names: makes, action: 'SCMP_ACT_NOTIFY' }],
    }
  })
  await runtime.must('create', '--bundle', bundle, 'asks')
  await runtime.must('start', 'asks')
  const { pid } = JSON.parse(await runtime.must('state', 'asks')) as { pid: number }
  const { stderr } = await runtime.call('exec', 'asks', 'busybox', 'mkdir', '/made')
  t.match(stderr, /Read-only file system/)
  t.match(agent.states, [
    { pid, state: { id: 'asks', bundle, pid, status: 'creating' } },
    { state: { id: 'asks', bundle, pid, status: 'running' } },
  ])
  t.not(agent.states[1]?.pid, pid)
  await runtime.must('kill', 'asks', 'KILL')
})
