import t from 'tap'
import { readFileSync } from 'node:fs'
import { detectLayout, directoryOf, ownUnifiedPath } from '../../lib/cgroup/layout.js'
import { INSIDE_CONTAINER, PURE_V1, PURE_V2, SYSTEMD_HYBRID, V2_WITH_NAMED } from './samples.js'

t.test('pure v2', async (t) => {
  t.strictSame(detectLayout(PURE_V2), { mode: 'v2', v1: new Map(), v2: { mountPoint: '/sys/fs/cgroup', root: '/' } })
})

t.test('hybrid as systemd mounts it', async (t) => {
  const layout = detectLayout(SYSTEMD_HYBRID)
  t.equal(layout?.mode, 'hybrid')
  t.equal(layout?.v2?.mountPoint, '/sys/fs/cgroup/unified')
  t.strictSame([...(layout?.v1.keys() ?? [])].sort(), ['cpu', 'cpuacct', 'memory', 'net_cls', 'net_prio', 'pids'])
  t.equal(layout?.v1.get('cpu')?.mountPoint, '/sys/fs/cgroup/cpu,cpuacct')
  t.equal(layout?.v1.get('cpuacct')?.mountPoint, '/sys/fs/cgroup/cpu,cpuacct')
})

t.test('pure v1', async (t) => {
  const layout = detectLayout(PURE_V1)
  t.equal(layout?.mode, 'v1')
  t.equal(layout?.v2, undefined)
  t.equal(layout?.v1.get('memory')?.mountPoint, '/mnt/my cgroups/memory')
  t.notOk(layout?.v1.has('clone_children'), 'an option is no controller')
})

t.test('a named hierarchy without controllers does not make a machine hybrid', async (t) => {
  t.equal(detectLayout(V2_WITH_NAMED)?.mode, 'v2')
})

t.test('no cgroups at all', async (t) => {
  t.equal(detectLayout('28 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n'), undefined)
})

t.test('of two mounts of one hierarchy the one in the usual place counts', async (t) => {
  const usual = '29 22 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n'
  const other = '30 22 0:25 / /run/copy rw - cgroup2 cgroup2 rw\n'
  t.equal(detectLayout(usual + other)?.v2?.mountPoint, '/sys/fs/cgroup')
  t.equal(detectLayout(other + usual)?.v2?.mountPoint, '/sys/fs/cgroup')
})

t.test('the own cgroup, and its directory below a mount', async (t) => {
  t.equal(ownUnifiedPath('4:memory:/a\n0::/user.slice/x.scope\n'), '/user.slice/x.scope')
  t.equal(ownUnifiedPath('4:memory:/a\n'), undefined)
  const v2 = detectLayout(PURE_V2)!.v2!
  t.equal(directoryOf(v2, '/'), '/sys/fs/cgroup')
  t.equal(directoryOf(v2, '/user.slice/x.scope'), '/sys/fs/cgroup/user.slice/x.scope')
  const inside = detectLayout(INSIDE_CONTAINER)!.v2!
  t.equal(directoryOf(inside, '/docker/0a1b/leaf'), '/sys/fs/cgroup/unified/leaf')
  t.equal(directoryOf(inside, '/docker/0a1b'), '/sys/fs/cgroup/unified')
  t.equal(directoryOf(inside, '/docker/0a1bc'), '/sys/fs/cgroup/unified', 'another cgroup of like name')
  t.equal(directoryOf(inside, '/../elsewhere'), '/sys/fs/cgroup/unified')
})

t.test("this machine's layout agrees with what is mounted", async (t) => {
  const text = readFileSync('/proc/self/mountinfo', 'utf8')
  const layout = detectLayout(text)
  t.ok(layout, 'has cgroups')
  t.equal(layout?.v2 !== undefined, / - cgroup2 /.test(text))
  t.equal(layout!.v1.size > 0, / - cgroup [^ ]+ [^ ]*\b(memory|cpu|pids)\b/.test(text))
})
