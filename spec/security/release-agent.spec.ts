/** CVE-2022-0492: the release_agent of a cgroup v1 hierarchy is a program that the kernel runs on the host. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'
import { impossibleHere } from '../peers.js'

const lab = await attackLab(t)
const hierarchy = /^\S+ \S+ \S+ \S+ \S+ .* - cgroup \S+ .*\b(memory|pids|freezer|devices)\b/m.exec(
  readFileSync('/proc/self/mountinfo', 'utf8'),
)?.[1]
const skip = hierarchy === undefined && `${impossibleHere} it has no cgroup v1`
const command = ['attack', 'release-agent', hierarchy ?? '', '/tmp/cgroup']
const admin = { command, capAdd: ['SYS_ADMIN'] }

t.test('with the capability, without filter and cgroup namespace', { skip }, async (t) => {
  const { lines } = await lab.weak(
    { ...admin, seccomp: 'unconfined' },
    { plan: (plan) => ({ ...plan, create: plan.create.filter((type) => type !== 'cgroup') }) },
  )
  t.match(lines, [/^ok /], 'it can be written to')
})

t.test('Podling', { skip }, async (t) => {
  t.match((await lab.strong({ command })).lines, [/^E/])
  t.match(
    (await lab.strong({ command: ['busybox', 'unshare', '-U', '-r', '-m', ...command] })).lines.at(-1),
    /E|denied|not permitted/,
  )
  t.match((await lab.strong(admin)).lines, [/^E/], 'nor with the capability: its own cgroup is no root')
  const look =
    'find /sys/fs/cgroup -name release_agent; find /sys/fs/cgroup -type f -perm -200 | head -n 1 | while read f; do (: >>$f) && echo wrote; done'
  t.strictSame((await lab.strong({ command: ['sh', '-c', `(${look}) 2>/dev/null`] })).lines, [])
})
