import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Runtime, type Container, type ContainerOptions } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const sleeper = { image, command: ['sleep', '1000'], network: 'none' as const }
const { mode, parent } = (await runtime.info()).cgroup
const v2 = mode === 'v2'

/** What a file of a container's cgroup says, by its names in v1 and v2. */
function limit({ id }: Container, v1File: string, v2File: string): string {
  const controller = v1File.split('.')[0] ?? ''
  const place = v2 ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controller}`
  return readFileSync(`${place}${parent}/${id}/${v2 ? v2File : v1File}`, 'utf8').trim()
}

const memoryOf = (container: Container) => Number(limit(container, 'memory.limit_in_bytes', 'memory.max'))

t.test('limits of a start, in the kernel and in inspect()', async (t) => {
  await using container = await runtime.run({
    ...sleeper,
    memory: '64m',
    memorySwap: '96m',
    memoryReservation: '32m',
    cpuQuota: 20_000,
    cpuPeriod: 50_000,
    cpuShares: 512,
    cpuset: '0',
    cpusetMems: '0',
    oomScoreAdj: 300,
    shmSize: '1m',
  })
  t.equal(memoryOf(container), 64 * 2 ** 20)
  t.equal(limit(container, 'memory.soft_limit_in_bytes', 'memory.low'), String(32 * 2 ** 20))
  if (!v2) t.equal(limit(container, 'memory.memsw.limit_in_bytes', ''), String(96 * 2 ** 20))
  if (!v2) t.equal(limit(container, 'cpu.cfs_quota_us', ''), '20000')
  else t.equal(limit(container, '', 'cpu.max'), '20000 50000')
  t.equal(limit(container, 'cpuset.cpus', 'cpuset.cpus'), '0')
  const { stdout } = await container.exec(['sh', '-c', 'cat /proc/1/oom_score_adj; df -k /dev/shm | tail -1'])
  t.match(stdout, /^300\n.* 1024 /s)
  t.match(container.inspect().spec, {
    process: { oomScoreAdj: 300 },
    linux: {
      resources: {
        memory: { limit: 64 * 2 ** 20, swap: 96 * 2 ** 20, reservation: 32 * 2 ** 20 },
        cpu: { quota: 20_000, period: 50_000, shares: 512, cpus: '0', mems: '0' },
      },
    },
  })
})

t.test('limits that only one kind of cgroups has', async (t) => {
  if (v2) {
    for (const option of [{ memorySwappiness: 10 }, { oomKillDisable: true }]) {
      await t.rejects(runtime.containers.create({ ...sleeper, ...option }), { code: 'CGROUP_CONTROLLER_MISSING' })
    }
    return
  }
  await using container = await runtime.run({ ...sleeper, memory: '64m', memorySwappiness: 10, oomKillDisable: true })
  t.equal(limit(container, 'memory.swappiness', ''), '10')
  t.match(limit(container, 'memory.oom_control', ''), /^oom_kill_disable 1/)
  await t.rejects(runtime.containers.create({ ...sleeper, memoryHigh: '64m' }), {
    code: 'CGROUP_CONTROLLER_MISSING',
    message: /memoryHigh/,
  })
  await t.rejects(runtime.containers.create({ ...sleeper, cpuWeight: 50 }), { message: /cpuWeight/ })
})

t.test('disks', async (t) => {
  const disk = `/dev/${execFileSync('lsblk', ['-ndo', 'NAME', '-e', '1,7,252'], { encoding: 'utf8' }).split('\n')[0] ?? ''}`
  await using container = await runtime.run({
    ...sleeper,
    deviceReadBps: [`${disk}:1m`],
    deviceWriteIops: [`${disk}:500`],
  })
  const file = limit(container, 'blkio.throttle.read_bps_device', 'io.max')
  t.match(file, v2 ? /rbps=1048576 .*wiops=500/ : /^\d+:\d+ 1048576$/)
  await container.update({ deviceReadBps: [`${disk}:2m`] })
  t.match(limit(container, 'blkio.throttle.read_bps_device', 'io.max'), /2097152/)
  t.match(limit(container, 'blkio.throttle.write_iops_device', 'io.max'), /500$/, 'what is not named stays')
})

t.test('an update holds at once and at the next start', async (t) => {
  await using container = await runtime.run({ ...sleeper, memory: '64m' })
  await container.update({ memory: '128m', pidsLimit: 33, cpus: 0.25 })
  t.equal(memoryOf(container), 128 * 2 ** 20)
  t.match(await container.stats(), { pids: { limit: 33 }, memory: { limit: 128 * 2 ** 20 } })
  await using other = await Runtime.open({ root: setup.root })
  const seen = await other.containers.get(container.id)
  const resources = {
    memory: { limit: 128 * 2 ** 20, swap: 256 * 2 ** 20 },
    pids: { limit: 33 },
    cpu: { quota: 25_000 },
  }
  t.match(seen.inspect().spec.linux?.resources, resources)
  await container.update({ memory: '32m' })
  t.equal(memoryOf(container), 32 * 2 ** 20, 'it can shrink')
  await container.restart({ timeout: 0 })
  t.equal(memoryOf(container), 32 * 2 ** 20)
  t.match(await container.stats(), { pids: { limit: 33 } })
  await container.stop({ timeout: 0 })
  await container.update({ memory: '48m' })
  await container.start()
  t.equal(memoryOf(container), 48 * 2 ** 20, 'one that did not run')
})

t.test('what the kernel refuses changes nothing', async (t) => {
  await using container = await runtime.run({
    ...sleeper,
    command: ['sh', '-c', 'x=$(head -c 30000000 /dev/zero | tr "\\0" x); echo up; sleep 1000; :'],
    memory: '128m',
    memorySwap: '128m',
    cpuset: '0',
  })
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') break
  const before = JSON.stringify(container.inspect().spec.linux?.resources)
  const unchanged = () => {
    t.equal(memoryOf(container), 128 * 2 ** 20)
    t.equal(limit(container, 'pids.max', 'pids.max'), '2048')
    t.equal(limit(container, 'cpuset.cpus', 'cpuset.cpus'), '0')
    t.equal(JSON.stringify(container.inspect().spec.linux?.resources), before)
    t.equal(container.status, 'running')
  }
  await t.rejects(container.update({ pidsLimit: 100, memory: '2m', memorySwap: '2m' }), {
    code: 'LIMIT_REFUSED',
    message: /uses/,
  })
  unchanged()
  await t.rejects(container.update({ memory: '100m', memorySwap: '100m', pidsLimit: 7, cpuset: '4000' }), {
    code: 'LIMIT_REFUSED',
  })
  unchanged()
  await t.rejects(runtime.run({ ...sleeper, cpuset: '4000' }), { code: 'INVALID_OPTION', message: /no such cpu/ })
})

t.test('all mistakes at once', async (t) => {
  await using container = await runtime.run({ ...sleeper, memory: '64m' })
  await t.rejects(
    container.update({ memory: '1k', cpus: 1, pidslimit: 4, blkioWeight: 5, deviceReadBps: ['sda'] } as never),
    { code: 'INVALID_OPTION', message: /4 mistakes[^]*did you mean pidsLimit[^]*memory: / },
  )
  await t.rejects(container.update({ cpus: 1, cpuQuota: 50_000, memorySwap: '32m' }), {
    code: 'INVALID_OPTION',
    message: /cpuQuota: says the same as cpus[^]*memorySwap: counts memory and swap together/,
  })
  await t.rejects(container.update({ deviceReadBps: ['/dev/no-such-disk:1m'] }), { code: 'DEVICE_NOT_FOUND' })
  await t.rejects(container.update({ deviceReadBps: ['/dev/null:1m'] }), {
    code: 'DEVICE_NOT_FOUND',
    message: /character/,
  })
  await t.rejects(container.update({ hugetlb: { '3MB': '3m' } }), { code: /INVALID_OPTION|CGROUP_CONTROLLER_MISSING/ })
  await container.remove({ force: true })
  await t.rejects(container.update({ memory: '64m' }), { code: 'INVALID_STATE' })
})

t.test('an OOM kill is told apart from other kills', async (t) => {
  const memory = { memory: '16m', memorySwap: '16m' }
  await using hog = await runtime.run({ ...sleeper, ...memory, command: ['sh', '-c', 'tail /dev/zero'] })
  t.match(await hog.wait(), { exitCode: 137, oomKilled: true })
  await using killed = await runtime.run({ ...sleeper, ...memory })
  await killed.kill('SIGKILL')
  t.match(await killed.wait(), { exitCode: 137, signal: 'SIGKILL', oomKilled: false })
  await using survivor = await runtime.run({ ...sleeper, ...memory, command: ['sh', '-c', 'tail /dev/zero; exit 3'] })
  t.match(await survivor.wait(), { exitCode: 3, oomKilled: true }, 'of a child, too')
})

t.test('limits of processes', async (t) => {
  const limits = async (options: Partial<ContainerOptions>) => {
    await using container = await runtime.run({ ...sleeper, ...options })
    return readFileSync(`/proc/${String(container.pid)}/limits`, 'utf8')
  }
  t.match(await limits({ ulimits: { nofile: { soft: 100, hard: 200 }, core: 0 } }), /^Max open files +100 +200/m)
  t.equal(await limits({ ulimits: 'host' }), readFileSync('/proc/self/limits', 'utf8'))
  await t.rejects(runtime.run({ ...sleeper, ulimits: 'hosts' as 'host' }), {
    code: 'INVALID_OPTION',
    message: /'host'/,
  })
  await t.rejects(runtime.run({ ...sleeper, ulimits: { nofile: 2 ** 31 } }), {
    code: 'PERMISSION_DENIED',
    message: /NOFILE/,
  })
})

t.test('a new name', async (t) => {
  await using container = await runtime.run({ ...sleeper, name: 'before' })
  await using other = await runtime.containers.create({ ...sleeper, name: 'taken' })
  await t.rejects(container.rename('taken'), { code: 'NAME_IN_USE', message: new RegExp(other.id.slice(0, 12)) })
  await t.rejects(container.rename('not a name'), { code: 'INVALID_OPTION' })
  t.equal(container.name, 'before')
  await container.rename('after')
  await container.rename('after')
  t.equal(container.name, 'after')
  t.equal(await runtime.containers.get('after'), container)
  await t.rejects(runtime.containers.get('before'), { code: 'CONTAINER_NOT_FOUND' })
  await using reuse = await runtime.containers.create({ ...sleeper, name: 'before' })
  await using second = await Runtime.open({ root: setup.root })
  await (await second.containers.get(reuse.id)).rename('elsewhere')
  t.equal((await runtime.containers.get(reuse.id)).name, 'elsewhere', 'by another process')
  const raced = await Promise.allSettled([container.rename('one'), other.rename('one'), reuse.rename('one')])
  t.equal(raced.filter(({ status }) => status === 'fulfilled').length, 1, 'a name goes to one')
})

t.test('waiting for what is to be', async (t) => {
  await using second = await Runtime.open({ root: setup.root })
  await using container = await runtime.containers.create(sleeper)
  const seen = await second.containers.get(container.id)
  const [running] = await Promise.all([seen.wait({ condition: 'running' }), container.start()])
  t.equal(running, undefined)
  t.equal(seen.status, 'running')
  await Promise.all([container.wait({ condition: 'paused' }), container.pause()])
  const [exit] = await Promise.all([seen.wait({ condition: 'exited' }), container.kill()])
  t.match(exit, { exitCode: 137 })
  await t.rejects(container.wait({ condition: 'runing' as 'running' }), {
    code: 'INVALID_OPTION',
    message: /did you mean 'running'/,
  })
  await t.rejects(container.wait({ condition: 'running', signal: AbortSignal.timeout(20) }), { code: 'ABORTED' })
  const never = seen.wait({ condition: 'paused' })
  await Promise.all([
    seen.wait({ condition: 'removed' }),
    t.rejects(never, { code: 'INVALID_STATE' }),
    container.remove(),
  ])
})

t.test("kernel parameters of namespaces that are another's", async (t) => {
  await using owner = await runtime.run({ ...sleeper, name: 'owner' })
  await t.rejects(runtime.run({ ...sleeper, network: 'container:owner', sysctls: { 'net.ipv4.ip_forward': 1 } }), {
    code: 'INVALID_OPTION',
    message: /another's/,
  })
  t.equal(owner.status, 'running')
})
