/** Pods: what their containers share, and how they live and end together. */
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { Runtime, type Container, type ContainerOptions, type ErrorCode, type Pod } from 'podling'
import { containerFiles, within } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const tools = needs('root', 'busybox')
const setup = await testRuntime()
const { runtime, image, root } = setup
t.teardown(() => setup[Symbol.asyncDispose]())

const sleeper = { image, command: ['sleep', '1000'] } as const

function run(pod: Pod, name: string, options: Partial<ContainerOptions> = {}): Promise<Container> {
  return runtime.run({ ...sleeper, pod, name, ...options })
}

function rejectsWith(t: Test, work: () => Promise<unknown>, code: ErrorCode, message = /./): Promise<unknown> {
  return t.rejects(work(), { name: 'PodlingError', code, message })
}

async function output(container: Container, script: string): Promise<string> {
  const { stdout, stderr } = await container.exec(['sh', '-c', script])
  return (stdout + stderr).trim()
}

/** A limit of the pod's own cgroup, as the kernel has it. */
async function limit(pod: Pod, controller: string, file: string): Promise<string> {
  const { mode } = (await runtime.info()).cgroup
  const top = mode === 'v2' ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controller}`
  return (await readFile(`${top}${pod.inspect().cgroup}/${file}`, 'utf8')).trim()
}

t.test('localhost, host name, shared memory and limits are those of the pod', tools, async (t) => {
  await using pod = await runtime.pods.create({
    name: 'shared',
    network: 'none',
    pidsLimit: 40,
    labels: { of: 'spec' },
  })
  t.equal(pod.status, 'created')
  const web = await run(pod, 'web', {
    command: ['nc', '-ll', '-p', '80', '-e', 'echo', 'here'],
    ready: { port: 80 },
    pidsLimit: 10,
  })
  const client = await run(pod, 'client')
  t.equal(pod.status, 'running', 'it was started with its first container')
  t.equal(await output(client, 'nc 127.0.0.1 80 </dev/null'), 'here')
  t.equal(await output(client, 'hostname; echo $HOSTNAME; cat /etc/hostname'), 'shared\nshared\nshared')
  await web.exec(['sh', '-c', 'echo kept > /dev/shm/file'])
  t.equal(await output(client, 'cat /dev/shm/file'), 'kept')
  t.match(await output(client, 'grep /dev/shm /proc/mounts'), /tmpfs rw,nosuid,nodev,noexec/)
  t.match(await output(client, 'ps'), /^PID.*\n +1 root +sleep 1000/, 'but not their processes')
  t.equal(await limit(pod, 'pids', 'pids.max'), '40')
  t.match(pod.inspect(), { status: 'running', hostname: 'shared', limits: { pidsLimit: 40 }, labels: { of: 'spec' } })
  t.strictSame(
    pod.containers.map(({ name, pod }) => [name, pod]),
    [
      ['web', pod.id],
      ['client', pod.id],
    ],
  )
  t.strictSame(
    (await runtime.containers.list({ pod: pod.id })).map(({ name }) => name),
    ['web', 'client'],
    'what holds it is no container',
  )
  t.strictSame(await runtime.containers.list({ name: 'shared' }), [])
  await rejectsWith(t, () => runtime.containers.get('shared'), 'CONTAINER_NOT_FOUND', /it is the name of a pod/)
  await t.test('and a container may have its own', async (t) => {
    const apart = await run(pod, 'apart', { uts: 'private', ipc: 'private', hostname: 'apart' })
    t.equal(await output(apart, 'hostname; ls /dev/shm'), 'apart')
    t.equal(await output(apart, 'nc 127.0.0.1 80 </dev/null'), 'here')
  })
  await t.test('stats are of all of it and of each, top tells whose a process is', async (t) => {
    // They are counted one after the other, and what answered a moment ago may be about to end.
    const taken = async () => {
      const stats = await pod.stats()
      return { ...stats, sum: stats.containers.reduce((total, one) => total + (one.pids?.current ?? 0), 0) }
    }
    const { pids, memory, containers, name, sum } = await within(
      5000,
      taken,
      (stats) => stats.pids?.current === stats.sum + 1,
    )
    t.equal(name, 'shared')
    t.strictSame(containers.map((one) => one.name), pod.containers.map((one) => one.name)) // prettier-ignore
    t.strictSame(pids, { current: sum + 1, limit: 40 }, 'and what holds it')
    t.ok((memory?.usage ?? 0) >= Math.max(...containers.map((one) => one.memory?.usage ?? 0)))
    const processes = await pod.top(['pid', 'args'])
    t.match(
      processes.find(({ container }) => container === 'client'),
      { pid: 1, args: 'sleep 1000' },
    )
    t.match(
      processes.find(({ container }) => container === 'web'),
      { pid: 1, args: /^nc -ll/ },
    )
  })
  await t.test('a bomb in one leaves the others of the machine alone', async (t) => {
    const full = await output(client, 'for i in $(seq 60); do sleep 100 & done')
    t.match(full, /can't fork/)
  })
})

t.test('processes are shared on demand, and its holder reaps', tools, async (t) => {
  await using pod = await runtime.pods.create({ share: ['pid', 'ipc'] })
  const one = await run(pod, 'one', { network: 'none' })
  const two = await run(pod, 'two', { network: 'none' })
  t.match(await output(one, 'ps'), /podling-pod.*\n(.*sleep 1000\n){2}/)
  await output(two, '(sleep 0.01 &)')
  const zombies = await within(
    5000,
    () => output(one, 'ps -o stat,args | grep "^Z"'),
    (text) => text === '',
  )
  t.equal(zombies, '', 'orphans of all of them')
  t.match(await output(one, 'hostname'), one.id.slice(0, 12), 'what is not shared is its own')
  await two.stop({ timeout: 5000 })
  t.equal(one.status, 'running')
  t.equal(pod.status, 'degraded')
})

t.test('all of it lives and ends as one', tools, async (t) => {
  await using pod = await runtime.pods.create({ network: 'none' })
  const [one, two] = [await run(pod, 'one'), await run(pod, 'two')]
  await pod.pause()
  t.strictSame([pod.status, one.status, two.status], ['paused', 'paused', 'paused'])
  await pod.unpause()
  t.equal(pod.status, 'running')
  await pod.stop({ timeout: 0 })
  t.strictSame([pod.status, one.status, two.status], ['exited', 'exited', 'exited'])
  await rejectsWith(t, () => pod.kill(), 'INVALID_STATE', /no container of it runs/)
  await two.start()
  t.strictSame([pod.status, one.status], ['degraded', 'exited'], 'one container starts what it needs of its pod')
  await pod.start()
  t.equal(pod.status, 'running')
  const before = one.pid
  await pod.restart({ timeout: 0 })
  t.not(one.pid, before)
  t.equal(await output(one, 'hostname'), pod.name)
  await pod.kill('SIGSTOP')
  // Each process stops when it comes to run.
  const stat = () => readFile(`/proc/${String(two.pid)}/stat`, 'utf8')
  t.match(await within(5000, stat, (text) => text.includes(' T ')), / T /)
  await pod.kill()
  t.equal((await one.wait()).signal, 'SIGKILL')
  await two.wait()
  await within(
    5000,
    async () => pod.status,
    (status) => status === 'exited',
  )
  t.equal(pod.status, 'exited')
  await pod.remove()
  t.strictSame([pod.status, one.status], ['removed', 'removed'])
  await pod.remove()
  await rejectsWith(t, () => pod.start(), 'INVALID_STATE', /it was removed/)
})

t.test('they start in the order of their dependencies, and stop the other way round', tools, async (t) => {
  await using pod = await runtime.pods.create({ network: 'none' })
  const events: string[] = []
  const note = ({ type, container }: { type: string; container: Container }) => {
    events.push(`${type} ${container.name}`)
    // Which of the two begins first is open: migrate ends when both have.
    if (
      ['start app', 'start migrate'].every((one) => events.includes(one)) &&
      type === 'start' &&
      container.name !== 'web'
    )
      migrate.exec(['touch', '/go']).catch((error: unknown) => t.fail(String(error)))
  }
  const polite = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done']
  const create = (name: string, options: Partial<ContainerOptions>) =>
    runtime.containers.create({ image, pod, name, command: polite, ...options })
  await create('web', { dependsOn: ['app', { container: 'migrate', condition: 'completed' }] })
  await create('app', { dependsOn: [{ container: 'db', condition: 'started' }] })
  const migrates = ['sh', '-c', 'until test -e /go; do sleep 0.01; done']
  const migrate = await create('migrate', { command: migrates, dependsOn: ['db'] })
  await create('db', {})
  await create('first', { command: ['true'], initContainer: 'once' })
  await create('each', { command: ['true'], initContainer: 'always' })
  runtime.containers.on('container', note)
  t.teardown(() => runtime.containers.off('container', note))
  await pod.start()
  t.strictSame(events.slice(0, 6), ['start first', 'exit first', 'remove first', 'start each', 'exit each', 'start db'])
  t.strictSame(events.slice(6, 8).sort(), ['start app', 'start migrate'])
  t.strictSame(events.slice(8), ['exit migrate', 'start web'])
  events.length = 0
  await pod.stop()
  t.strictSame(events, ['exit web', 'exit app', 'exit db'])
  events.length = 0
  await (await runtime.containers.get('web')).start()
  t.strictSame(events.slice(0, 2), ['start db', 'start app'], 'so it is when one of them is started alone')
  t.equal(events.at(-1), 'start web')
  await create('a', { dependsOn: ['b'] })
  const b = await create('b', { dependsOn: ['a'] })
  await rejectsWith(t, () => b.start(), 'DEPENDENCY_CYCLE', /a → b → a/)
  await pod.stop()
  t.equal((await runtime.containers.get('web')).status, 'exited', 'a circle keeps nobody from stopping')
})

t.test('one waits until another is healthy, and is told when that never will be', tools, async (t) => {
  await using pod = await runtime.pods.create({ network: 'none' })
  const health = { command: 'test -e /ready', interval: 100, startInterval: 50, startPeriod: 60_000 } as const
  const late = ['sh', '-c', 'sleep 0.5; touch /ready; exec sleep 1000']
  const db = await runtime.containers.create({ image, pod, name: 'slow', command: late, health })
  const options = { ...sleeper, pod, dependsOn: [{ container: 'slow', condition: 'healthy' }] } as const
  const client = await runtime.containers.create({ ...options, name: 'patient' })
  let healthyAtStart = false
  client.once('start', () => (healthyAtStart = db.inspect().health?.status === 'healthy'))
  await pod.start()
  t.ok(healthyAtStart, 'it was healthy when the other one started')
  await pod.stop({ timeout: 0 })
  await db.remove()
  const dies = { image, pod, name: 'slow', command: ['sh', '-c', 'sleep 0.3; exit 3'] }
  const dead = await runtime.containers.create({ ...dies, health })
  const never = /slow ended with 3, not healthy, and others of its pod wait for it to be healthy/
  await rejectsWith(t, () => pod.start(), 'DEPENDENCY_FAILED', never)
  await dead.remove()
  const sick = { ...sleeper, pod, name: 'slow', health: { command: 'false', interval: 50, retries: 2 } }
  const ill = await runtime.containers.create(sick)
  await rejectsWith(t, () => client.start(), 'DEPENDENCY_FAILED', /slow is unhealthy, and others/)
  await ill.remove({ force: true })
  await runtime.containers.create({ ...sleeper, pod, name: 'slow' })
  await rejectsWith(t, () => client.start(), 'INVALID_STATE', /health/)
})

t.test('what a start has begun, its failure ends', tools, async (t) => {
  await using pod = await runtime.pods.create({ name: 'failing', network: 'none' })
  const good = await runtime.containers.create({ ...sleeper, pod, name: 'good' })
  const init = await runtime.containers.create({
    image,
    pod,
    command: ['false'],
    name: 'init',
    initContainer: 'always',
  })
  await rejectsWith(t, () => pod.start(), 'DEPENDENCY_FAILED', /its init container init ended with 1; see its logs/)
  t.strictSame([pod.status, good.status, pod.inspect().pid], ['stopped', 'created', undefined])
  await init.remove()
  const broken = await runtime.containers.create({ image, pod, command: ['/none'], name: 'broken' })
  await rejectsWith(t, () => pod.start(), 'COMMAND_NOT_FOUND')
  t.strictSame([good.status, pod.inspect().pid], ['exited', undefined])
  await broken.remove()
  await pod.start()
  t.equal(pod.status, 'running')
})

t.test('when its holder is killed from outside', tools, async (t) => {
  await t.test('its containers go on with what they share, and a restart makes it whole', async (t) => {
    await using pod = await runtime.pods.create({ network: 'none' })
    const web = await run(pod, 'web', { command: ['nc', '-ll', '-p', '80', '-e', 'echo', 'here'], ready: { port: 80 } })
    const client = await run(pod, 'client')
    process.kill(pod.inspect().pid ?? 0, 'SIGKILL')
    await within(
      5000,
      async () => pod.status,
      (status) => status === 'degraded',
    )
    t.strictSame([pod.status, web.status], ['degraded', 'running'])
    t.equal(await output(client, 'nc 127.0.0.1 80 </dev/null'), 'here')
    await pod.restart({ timeout: 0 })
    t.equal(pod.status, 'running')
    t.equal(await output(client, 'nc 127.0.0.1 80 </dev/null'), 'here')
  })
  await t.test('with a shared pid namespace they end with it', async (t) => {
    await using pod = await runtime.pods.create({ share: ['pid'] })
    const one = await run(pod, 'one', { network: 'none' })
    process.kill(pod.inspect().pid ?? 0, 'SIGKILL')
    t.equal((await one.wait()).signal, 'SIGKILL')
    await within(
      5000,
      async () => pod.status,
      (status) => status === 'exited',
    )
    t.equal(pod.status, 'exited')
  })
})

t.test('one that is started again by its policy is in its pod as before', tools, async (t) => {
  await using pod = await runtime.pods.create({ network: 'none', share: ['net', 'ipc', 'uts', 'pid'] })
  const server = ['nc', '-ll', '-p', '80', '-e', 'echo', 'here']
  const web = await run(pod, 'web', { command: server, ready: { port: 80 }, restart: 'always' })
  const client = await run(pod, 'client')
  await client.exec(['sh', '-c', 'echo kept > /dev/shm/file'])
  const before = web.pid
  process.kill(before ?? 0, 'SIGKILL')
  await within(
    10_000,
    async () => web.pid,
    (pid) => pid !== undefined && pid !== before,
  )
  t.not(web.pid, before)
  t.equal(await output(web, 'cat /dev/shm/file; hostname'), `kept\n${pod.name}`)
  t.match(await output(client, 'ps'), /podling-pod.*\n(.*\n)*.* nc -ll/)
  t.equal(
    await within(
      5000,
      () => output(client, 'nc 127.0.0.1 80 </dev/null'),
      (text) => text === 'here',
    ),
    'here',
  )
  await pod.stop({ timeout: 0 })
  t.strictSame([web.status, pod.status], ['exited', 'exited'], 'and stays stopped with it')
})

t.test('exitPolicy stop: it ends with its last container', tools, async (t) => {
  await using pod = await runtime.pods.create({ network: 'none', exitPolicy: 'stop' })
  const [one, two] = [await run(pod, 'one'), await run(pod, 'two')]
  await one.stop({ timeout: 0 })
  await one.wait()
  t.ok(pod.inspect().pid, 'not before')
  await two.stop({ timeout: 0 })
  await within(
    5000,
    async () => pod.inspect().pid,
    (pid) => pid === undefined,
  )
  t.equal(pod.status, 'exited')
})

t.test('what does not fit is told before anything is made', tools, async (t) => {
  await using pod = await runtime.pods.create({ name: 'full', network: 'none', memory: '64m', cpus: 1, pidsLimit: 20 })
  const mistakes: readonly (readonly [Partial<ContainerOptions>, RegExp])[] = [
    [{ network: 'bridge' }, /network: must be left out, as pod full shares its own, got 'bridge'/],
    [{ ports: [80], dns: ['1.1.1.1'] }, /ports: belongs to pod full.*pods\.create\n +dns: belongs/],
    [{ hostname: 'a', shmSize: '1m' }, /shmSize: belongs to pod full.*\n +hostname: is that of pod full/],
    [{ memory: '1g', cpus: 2, pidsLimit: 21 }, /memory: must not be above.*\n +cpus: .*\n +pidsLimit: .* 20, got 21/],
    [{ detach: true }, /detach: must not be true, as pod full ends with its host/],
    [{ sysctls: { 'net.ipv4.ip_forward': 1 } }, /sysctls: net\.ipv4\.ip_forward: the network is that of pod full/],
    [{ dependsOn: [{ container: 'a', condition: 'ready' as 'started' }] }, /dependsOn\[0\]\.condition: must be/],
    [{ initContainer: 'once', restart: 'always' }, /restart: must be 'no' for an init container/],
    [{ initContainer: 'never' as 'once' }, /initContainer: must be one of 'once', 'always'; got 'never'/],
  ]
  for (const [options, message] of mistakes) {
    await rejectsWith(t, () => runtime.containers.create({ ...sleeper, pod, ...options }), 'INVALID_OPTION', message)
  }
  await rejectsWith(
    t,
    () => runtime.run({ ...sleeper, dependsOn: ['a'] }),
    'INVALID_OPTION',
    /has no effect without pod/,
  )
  await rejectsWith(t, () => runtime.run({ ...sleeper, network: 'pod' }), 'INVALID_OPTION', /must name a pod/)
  await rejectsWith(t, () => runtime.run({ ...sleeper, pod: 'none' }), 'POD_NOT_FOUND', /no pod has this name or id/)
  await rejectsWith(t, () => runtime.run({ ...sleeper, pod, name: 'full' }), 'NAME_IN_USE', /taken by pod/)
  await rejectsWith(t, () => runtime.pods.create({ name: 'full' }), 'NAME_IN_USE')
  await rejectsWith(t, () => runtime.pods.create({ network: 'nowhere' }), 'NETWORK_NOT_FOUND')
  const one = await run(pod, 'one')
  await rejectsWith(t, () => runtime.run({ ...sleeper, pod: 'one' }), 'POD_NOT_FOUND', /it is the name of a container/)
  await rejectsWith(t, () => pod.remove(), 'INVALID_STATE', /one runs in it\. Call stop\(\) first, or remove/)
  t.equal(one.status, 'running')
  await one.exec(['true'])
  await pod.remove({ force: true })
  await rejectsWith(t, () => runtime.run({ ...sleeper, pod }), 'POD_NOT_FOUND')
})

t.test('several processes at one pod', tools, async (t) => {
  const other = await Runtime.open({ root })
  const pod = await runtime.pods.create({ name: 'both', network: 'none' })
  const theirs = await other.pods.get('both')
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const made = await Promise.all(
    names.map((name, i) => (i % 2 ? other : runtime).run({ ...sleeper, pod: 'both', name })),
  )
  t.strictSame(made.map(({ status }) => status), names.map(() => 'running')) // prettier-ignore
  t.strictSame(theirs.containers.map(({ name }) => name).sort(), names)
  const adding = Promise.allSettled(names.map((name) => other.run({ ...sleeper, pod: 'both', name: `${name}2` })))
  await pod.remove({ force: true })
  for (const one of await adding) {
    if (one.status === 'rejected') t.match(String(one.reason), /being removed|no pod has this|stopped|ended|removed it/)
  }
  t.strictSame(await other.containers.list(), [], 'nothing is made in a pod that goes')
  t.equal(theirs.status, 'removed')
  await other.close()
})

t.test('a detached one is found again by another process', tools, async (t) => {
  const first = await Runtime.open({ root })
  const made = await first.pods.create({ name: 'stays', network: 'none', detach: true, shmSize: '8m', pidsLimit: 40 })
  await first.run({ ...sleeper, pod: made, name: 'inside' })
  await first.close()
  await (await Runtime.open({ root })).close()
  const pod = await runtime.pods.get(made.id.slice(0, 12))
  t.equal(pod.status, 'running')
  const [inside] = pod.containers
  t.equal((await inside!.exec(['hostname'])).stdout, 'stays\n')
  t.strictSame((await runtime.pods.list({ status: 'running', name: 'stay' })).map(({ id }) => id), [pod.id]) // prettier-ignore
  const more = await run(pod, 'more')
  t.ok(more.inspect().detached, 'what is in it stays as well')
  t.match(await output(more, 'df -k /dev/shm'), /shm +8192 /)
  await more.update({ pidsLimit: 7 })
  t.match((await more.stats()).pids, { limit: 7 }, 'its own limits stand below those of the pod')
  await rejectsWith(
    t,
    () => more.update({ pidsLimit: 41 }),
    'INVALID_OPTION',
    /pidsLimit: must not be above that of pod/,
  )
  await pod.remove({ force: true })
})

t.test('prune takes those that have ended, whole', tools, async (t) => {
  const pods = await Promise.all(['done', 'idle', 'busy'].map((name) => runtime.pods.create({ name, network: 'none' })))
  const [done, idle, busy] = pods as [Pod, Pod, Pod]
  await run(done, 'ended')
  await run(busy, 'busy1', { command: ['true'] })
  await run(busy, 'busy2')
  await done.stop({ timeout: 0 })
  t.match(await runtime.prune({ images: false }), { containers: [], pods: [{ name: 'done' }] })
  t.strictSame([done.status, idle.status, busy.status, busy.containers.length], ['removed', 'created', 'degraded', 2])
  await Promise.all([idle.remove(), busy.remove({ force: true })])
})

t.test('nothing is left of all of them', tools, async (t) => {
  t.strictSame(await runtime.pods.list(), [])
  t.strictSame(await runtime.containers.list(), [])
  const rest = (await containerFiles(root)).filter((path) => !path.startsWith('run/owners'))
  t.strictSame(rest, [])
})
