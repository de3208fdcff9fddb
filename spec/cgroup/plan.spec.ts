import t from 'tap'
import { HybridCgroups } from '../../lib/cgroup/hybrid.js'
import type { Places } from '../../lib/cgroup/places.js'
import { V1Cgroups } from '../../lib/cgroup/v1.js'
import { V2Cgroups } from '../../lib/cgroup/v2.js'
import type { CgroupPlan } from '../../lib/cgroup/cgroups.js'
import type { PlanCgroup } from '../../lib/launch/plan.js'

const MEGABYTE = 1 << 20
const root = '/sys/fs/cgroup'

function hierarchies(...names: string[]): Map<string, string> {
  return new Map(names.map((name) => [name, `${root}/${name}/podling`]))
}

const facts = {
  files: new Set(['cgroup.procs', 'memory.memsw.limit_in_bytes', 'memory.swap.max', 'io.weight', 'tasks']),
  hugepageSizes: ['2MB'],
  cpuset: { cpus: '0-3', mems: '0' },
}

const v2Places: Places = {
  mode: 'v2',
  v1: new Map(),
  unified: `${root}/podling`,
  v2: new Map<string, boolean | string>([
    ['memory', true],
    ['cpu', true],
    ['pids', true],
    ['cpuset', false],
    ['io', '/sys/fs/cgroup has processes of its own'],
  ]),
  chain: [root, `${root}/podling`],
  facts,
}
const hybridPlaces: Places = {
  mode: 'hybrid',
  v1: new Map([
    ...hierarchies('memory', 'pids', 'cpuset', 'blkio'),
    ['cpu', `${root}/cpu,cpuacct/podling`],
    ['cpuacct', `${root}/cpu,cpuacct/podling`],
  ]),
  unified: `${root}/unified/podling`,
  v2: new Map([['hugetlb', false]]),
  chain: [`${root}/unified`, `${root}/unified/podling`],
  facts,
}
const v1Places: Places = {
  mode: 'v1',
  v1: hierarchies('memory', 'cpu', 'cpuacct', 'pids', 'freezer', 'devices'),
  v2: new Map(),
  chain: [],
  facts,
}

const v2 = new V2Cgroups(v2Places)
const hybrid = new HybridCgroups(hybridPlaces)
const v1 = new V1Cgroups(v1Places)

/** The plan's type is the launch stage's, though cgroup may not import from it. */
const asLaunch = (plan: CgroupPlan): PlanCgroup => plan

function written(plan: CgroupPlan): Record<string, string> {
  return Object.fromEntries(plan.writes.map(({ path, value }) => [path.slice(root.length + 1), value]))
}

const resources = {
  memory: { limit: 64 * MEGABYTE, swap: 128 * MEGABYTE, reservation: 32 * MEGABYTE },
  cpu: { quota: 50_000, period: 100_000, shares: 1024 },
  pids: { limit: 32 },
}

t.test('v2: one directory, born in it', async (t) => {
  const plan = asLaunch(v2.plan('web', resources))
  t.match(plan, {
    directories: [`${root}/podling/web`],
    into: `${root}/podling/web`,
    unified: `${root}/podling/web`,
    attach: [],
    oomEvents: `${root}/podling/web/memory.events`,
  })
  t.ok(plan.deviceProgram)
  t.notOk('freezer' in plan)
  t.strictSame(written(plan), {
    'podling/web/memory.max': '67108864',
    'podling/web/memory.swap.max': '67108864',
    'podling/web/memory.low': '33554432',
    'podling/web/cpu.weight': '100',
    'podling/web/cpu.max': '50000 100000',
    'podling/web/pids.max': '32',
  })
})

t.test('v2: no limits', async (t) => {
  const plan = v2.plan('web', { memory: { limit: -1, swap: -1 }, cpu: { quota: -1 }, pids: { limit: -1 } })
  t.strictSame(written(plan), {
    'podling/web/memory.max': 'max',
    'podling/web/memory.swap.max': 'max',
    'podling/web/cpu.max': 'max',
    'podling/web/pids.max': 'max',
  })
  t.strictSame(v2.plan('web', { memory: {}, cpu: {}, pids: {} }).writes, [])
})

t.test('v2: a controller that is off is switched on from the top down, before its limits', async (t) => {
  t.strictSame(v2.plan('web', { cpu: { cpus: '0-1' } }).writes, [
    { path: `${root}/cgroup.subtree_control`, value: '+cpuset' },
    { path: `${root}/podling/cgroup.subtree_control`, value: '+cpuset' },
    { path: `${root}/podling/web/cpuset.cpus`, value: '0-1' },
  ])
})

t.test('v2: what cannot be had is an error that names the controller, the reason and the remedy', async (t) => {
  t.throws(() => v2.plan('web', { blockIO: { weight: 500 } }), {
    code: 'CGROUP_CONTROLLER_MISSING',
    message: /block I\/O.*has processes of its own.*\+io > \/sys\/fs\/cgroup\/cgroup\.subtree_control/s,
  })
  t.throws(() => v2.plan('web', { hugepageLimits: [{ pageSize: '2MB', limit: 1 }] }), {
    code: 'CGROUP_CONTROLLER_MISSING',
    message: /the hugetlb controller is not available/,
  })
  t.throws(() => v2.plan('web', { memory: { swappiness: 10 } }), { code: 'CGROUP_CONTROLLER_MISSING' })
  t.throws(() => v2.plan('web', { network: { classID: 1 } }), { code: 'CGROUP_CONTROLLER_MISSING' })
})

t.test('v2: the unified map comes last and is checked', async (t) => {
  const plan = v2.plan('web', {
    memory: { limit: MEGABYTE },
    unified: { 'memory.high': '900000', 'cgroup.max.depth': '2' },
  })
  t.strictSame(plan.writes.slice(-2), [
    { path: `${root}/podling/web/memory.high`, value: '900000' },
    { path: `${root}/podling/web/cgroup.max.depth`, value: '2' },
  ])
  t.throws(() => v2.plan('web', { unified: { '../memory.max': '1' } }), { code: 'INVALID_OPTION' })
  t.throws(() => v2.plan('web', { unified: { 'misc.max': '1' } }), { code: 'CGROUP_CONTROLLER_MISSING' })
})

t.test('v2: I/O limits', async (t) => {
  const withIo = new V2Cgroups({ ...v2Places, v2: new Map([['io', true]]) })
  const plan = withIo.plan('web', {
    blockIO: {
      weight: 1000,
      weightDevice: [{ major: 8, minor: 0, weight: 10 }],
      throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
      throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 0 }],
    },
  })
  t.strictSame(
    plan.writes.map(({ path, value }) => [path.split('/').pop(), value]),
    [
      ['io.weight', 'default 10000'],
      ['io.weight', '8:0 1'],
      ['io.max', '8:0 rbps=1000'],
      ['io.max', '8:16 wiops=max'],
    ],
  )
})

t.test('hybrid: enters what counts and limits, and is born in the cgroup2 tree', async (t) => {
  const plan = asLaunch(hybrid.plan('web', resources))
  t.strictSame(plan.attach, [
    `${root}/memory/podling/web/cgroup.procs`,
    `${root}/cpu,cpuacct/podling/web/cgroup.procs`,
    `${root}/pids/podling/web/cgroup.procs`,
  ])
  t.equal(plan.into, `${root}/unified/podling/web`)
  t.equal(plan.unified, plan.into)
  t.equal(plan.oomEvents, `${root}/memory/podling/web/memory.oom_control`)
  t.ok(plan.deviceProgram)
  t.strictSame(written(plan), {
    'memory/podling/web/memory.limit_in_bytes': '67108864',
    'memory/podling/web/memory.memsw.limit_in_bytes': '134217728',
    'memory/podling/web/memory.soft_limit_in_bytes': '33554432',
    'cpu,cpuacct/podling/web/cpu.shares': '1024',
    'cpu,cpuacct/podling/web/cpu.cfs_period_us': '100000',
    'cpu,cpuacct/podling/web/cpu.cfs_quota_us': '50000',
    'pids/podling/web/pids.max': '32',
  })
})

t.test(
  'hybrid: every container enters the same hierarchies unless more is asked, as the warm slots expect',
  async (t) => {
    t.strictSame(hybrid.plan('a', {}).attach.length, hybrid.plan('a', resources).attach.length)
    const set = hybrid.plan('a', { cpu: { cpus: '2' } })
    t.ok(set.attach.includes(`${root}/cpuset/podling/a/cgroup.procs`))
    t.match(written(set), { 'cpuset/podling/a/cpuset.cpus': '2', 'cpuset/podling/a/cpuset.mems': '0' })
  },
)

t.test('hybrid: a controller that only the cgroup2 tree has is used there', async (t) => {
  t.strictSame(written(hybrid.plan('a', { hugepageLimits: [{ pageSize: '2MB', limit: 4096 }] })), {
    'unified/cgroup.subtree_control': '+hugetlb',
    'unified/podling/cgroup.subtree_control': '+hugetlb',
    'unified/podling/a/hugetlb.2MB.max': '4096',
    'unified/podling/a/hugetlb.2MB.rsvd.max': '4096',
  })
  t.throws(() => hybrid.plan('a', { hugepageLimits: [{ pageSize: '1GB', limit: 1 }] }), {
    code: 'INVALID_OPTION',
    message: /"1GB" \(it has: 2MB\)/,
  })
  t.throws(() => hybrid.plan('a', { unified: { 'memory.high': '1' } }), { code: 'CGROUP_CONTROLLER_MISSING' })
})

t.test('v1: the freezer and the devices hierarchy stand in for cgroup2', async (t) => {
  const plan = asLaunch(v1.plan('web', resources))
  t.equal(plan.freezer, `${root}/freezer/podling/web`)
  t.notOk('into' in plan || 'unified' in plan || 'deviceProgram' in plan)
  t.strictSame(
    plan.directories.map((path) => path.split('/')[4]),
    ['memory', 'cpu', 'cpuacct', 'pids', 'freezer', 'devices'],
  )
  const devices = plan.writes.filter(({ path }) => path.includes('/devices.'))
  t.strictSame(devices[0], { path: `${root}/devices/podling/web/devices.deny`, value: 'a' })
  t.ok(devices.some(({ path, value }) => path.endsWith('.allow') && value === 'c 1:3 rwm'))
  t.throws(() => v1.plan('web', { unified: { 'memory.high': '1' } }), { code: 'CGROUP_CONTROLLER_MISSING' })
  t.throws(() => v1.plan('web', { cpu: { cpus: '0' } }), {
    code: 'CGROUP_CONTROLLER_MISSING',
    message: /cpuset controller is not mounted; mount it \(mount -t cgroup -o cpuset/,
  })
})

t.test('v1: without a devices hierarchy a container could open any device, so that is refused', async (t) => {
  const bare = new V1Cgroups({ ...v1Places, v1: hierarchies('memory') })
  t.throws(() => bare.plan('web', {}), { code: 'CGROUP_CONTROLLER_MISSING', message: /devices/ })
  t.strictSame(bare.plan('web', { devices: [{ allow: true, access: 'rwm' }] }).writes, [])
})

t.test('swap where the kernel does not account it', async (t) => {
  const noSwap = { ...facts, files: new Set<string>() }
  for (const cgroups of [
    new V2Cgroups({ ...v2Places, facts: noSwap }),
    new HybridCgroups({ ...hybridPlaces, facts: noSwap }),
  ]) {
    t.throws(() => cgroups.plan('a', { memory: { limit: 1, swap: 2 } }), {
      code: 'CGROUP_CONTROLLER_MISSING',
      message: /swapaccount=1/,
    })
    t.equal(cgroups.plan('a', { memory: { limit: 4096, swap: -1 } }).writes.length, 1, 'no limit needs no file')
  }
})

t.test('a pod has its limits on a cgroup of its own, in which those of its containers stand', async (t) => {
  const holder = asLaunch(hybrid.plan('pod/holder', {}, { memory: { limit: 4096 }, pids: { limit: 9 } }))
  t.strictSame(
    holder.shared,
    ['memory', 'pids', 'cpuset', 'blkio', 'cpu,cpuacct', 'unified'].map((name) => `${root}/${name}/podling/pod`),
    'in every hierarchy, as one of its containers may want a limit there',
  )
  t.strictSame(holder.unified, `${root}/unified/podling/pod/holder`, 'what kills it kills nothing else')
  t.strictSame(holder.writes, [
    { path: `${root}/cpuset/podling/pod/cpuset.cpus`, value: '0-3' },
    { path: `${root}/cpuset/podling/pod/cpuset.mems`, value: '0' },
    { path: `${root}/memory/podling/pod/memory.limit_in_bytes`, value: '4096' },
    { path: `${root}/pids/podling/pod/pids.max`, value: '9' },
  ])
  const member = asLaunch(hybrid.plan('pod/web', { pids: { limit: 3 } }))
  t.strictSame(member.shared, holder.shared)
  t.strictSame(member.writes, [{ path: `${root}/pids/podling/pod/web/pids.max`, value: '3' }])
  t.notOk(hybrid.plan('web', {}).shared, 'none for a container that is in no pod')
  t.strictSame(
    v2.plan('pod/web', { cpu: { cpus: '0' } }).writes.map(({ path, value }) => `${path} ${value}`),
    [
      `${root}/podling/pod/cgroup.subtree_control +memory +cpu +pids`,
      `${root}/cgroup.subtree_control +cpuset`,
      `${root}/podling/cgroup.subtree_control +cpuset`,
      `${root}/podling/pod/cgroup.subtree_control +cpuset`,
      `${root}/podling/pod/web/cpuset.cpus 0`,
    ],
    'v2: it hands on what it is given',
  )
})

t.test('ids are single names, or two', async (t) => {
  for (const id of ['', '..', 'a/b/c', 'a/', '/b', '../b', 'a/..', '.hidden', 'tasks', 'x'.repeat(129), 'a\n']) {
    t.throws(() => hybrid.plan(id, {}), { code: 'INVALID_OPTION' }, JSON.stringify(id))
  }
})

t.test('where every hierarchy is asked for, all are entered, and no cpuset is entered empty', (t) => {
  const cgroups = new HybridCgroups({
    ...hybridPlaces,
    v1: new Map([...hybridPlaces.v1, ...hierarchies('freezer')]),
    all: true,
  })
  const { directories, writes, attach } = cgroups.plan('c', {})
  for (const name of ['freezer', 'cpuset', 'blkio', 'memory']) {
    t.ok(directories.includes(`${root}/${name}/podling/c`))
    t.ok(attach.includes(`${root}/${name}/podling/c/cgroup.procs`))
  }
  t.strictSame(writes, [
    { path: `${root}/cpuset/podling/c/cpuset.cpus`, value: '0-3' },
    { path: `${root}/cpuset/podling/c/cpuset.mems`, value: '0' },
  ])
  t.end()
})
