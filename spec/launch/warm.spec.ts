import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Launcher } from '../../lib/launch/launcher.js'
import type { PlanCgroup } from '../../lib/launch/plan.js'
import { makeExec, makePlan, makeRootfs, noCgroup, run, shell, until } from './rootfs.js'

const controllers = ['memory', 'cpu', 'pids'].filter((name) => existsSync(`/sys/fs/cgroup/${name}/cgroup.procs`))
const parents = controllers.map((name) => `/sys/fs/cgroup/${name}/podling-spec-warm-${String(process.pid)}`)
const unified = existsSync('/sys/fs/cgroup/unified')
  ? `/sys/fs/cgroup/unified/podling-spec-warm-${String(process.pid)}`
  : undefined

if (controllers.length === 0) {
  t.pass('this machine has no cgroup v1 hierarchies, so there is nothing to keep warm')
} else {
  const rootfs = makeRootfs()
  for (const parent of [...parents, ...(unified === undefined ? [] : [unified])]) mkdirSync(parent, { recursive: true })
  t.teardown(() => {
    rootfs.remove()
    for (const parent of [...parents, ...(unified === undefined ? [] : [unified])]) rmdirSync(parent)
  })

  let count = 0
  const cgroup = (): PlanCgroup => {
    const name = `c${process.pid}-${count++}`
    const directories = parents.map((parent) => join(parent, name))
    return {
      ...noCgroup,
      directories: [...directories, ...(unified === undefined ? [] : [join(unified, name)])],
      attach: directories.map((directory) => join(directory, 'cgroup.procs')),
      writes: [{ path: join(directories[0]!, 'memory.limit_in_bytes'), value: String(64 << 20) }],
      ...(unified === undefined ? {} : { into: join(unified, name), unified: join(unified, name) }),
    }
  }
  const slots = (): string[] => readdirSync(parents[0]!).filter((name) => name.startsWith('warm-'))
  const warmProcesses = (): string =>
    slots()
      .map((name) => readFileSync(join(parents[0]!, name, 'cgroup.procs'), 'utf8').trim())
      .join('')
  const left = (): string[] =>
    readdirSync(parents[0]!).filter((name) => existsSync(join(parents[0]!, name, 'cgroup.procs')))
  const where = async (launcher: Launcher): Promise<{ at: string[]; expected: string[] }> => {
    const group = cgroup()
    /* Without a cgroup namespace, to see all of the path. */
    const plan = makePlan(rootfs, {
      argv: ['cat', '/proc/self/cgroup'],
      stdio: { stdout: 'pass' },
      cgroup: group,
      create: ['mount', 'pid'],
    })
    const { output } = await run(launcher, plan)
    const at = output
      .split('\n')
      .filter((line) => controllers.includes(line.split(':')[1]!))
      .map((line) => line.split(':')[2]!.split('/').pop()!)
    return { at, expected: controllers.map(() => group.directories[0]!.split('/').pop()!) }
  }

  t.test('a container from a warm slot is where its plan says', async (t) => {
    const launcher = await Launcher.start({ warm: cgroup().attach })
    for (let i = 0; i < 5; i++) {
      await until(() => launcher.warm, 'a slot is warm')
      const before = slots()
      const { at, expected } = await where(launcher)
      t.same(at, expected)
      t.notOk(
        slots().some((name) => before.includes(name)),
        'the slot was used',
      )
    }
    /* Also when there is no slot yet, and when many start at once. */
    const all = await Promise.all(Array.from({ length: 16 }, () => where(launcher)))
    for (const { at, expected } of all) t.same(at, expected)
    const { output } = await shell(launcher, rootfs, 'cat /proc/self/cgroup', { cgroup: cgroup() })
    t.match(output, /:memory:\/\n/, 'its cgroup namespace is rooted there')
    await launcher.close()
    await until(() => left().length === 0, 'no cgroup is left')
  })

  t.test('a plan that does not fit goes the plain way', async (t) => {
    const launcher = await Launcher.start({ warm: cgroup().attach })
    await until(() => launcher.warm, 'a slot is warm')
    t.equal((await shell(launcher, rootfs, 'echo fine')).output, 'fine\n')
    await until(() => launcher.warm, 'a slot is warm')
    const group = cgroup()
    mkdirSync(group.directories[0]!)
    const { record } = await shell(launcher, rootfs, 'exit 3', { cgroup: group })
    t.equal(record.exitCode, 3)
    rmdirSync(group.directories[0]!)
    await launcher.close()
    await until(() => left().length === 0, 'no cgroup is left')
  })

  t.test('its namespaces are its own, whichever the slot had', async (t) => {
    const launcher = await Launcher.start({ warm: cgroup().attach })
    const kinds = ['net', 'ipc', 'uts'] as const
    const names = { net: 'network', ipc: 'ipc', uts: 'uts' } as const
    const hosts = kinds.map((kind) => readlinkSync(`/proc/self/ns/${kind}`))
    for (let i = 0; i < 3; i++) {
      await until(() => launcher.warm, 'a slot is warm')
      const script = kinds.map((kind) => `readlink /proc/self/ns/${kind}`).join('; ')
      const plan = { argv: ['sh', '-c', script], cgroup: cgroup(), stdio: { stdout: 'pass' } } as const
      const links = (await run(launcher, makePlan(rootfs, plan))).output.trim().split('\n')
      t.equal(links.length, kinds.length)
      for (const link of links) t.notOk(hosts.includes(link), link)
    }
    for (const kind of kinds) {
      await until(() => launcher.warm, 'a slot is warm')
      const others = kinds.filter((one) => one !== kind).map((one) => names[one])
      const argv = ['readlink', `/proc/self/ns/${kind}`]
      const plan = makePlan(rootfs, {
        argv,
        cgroup: cgroup(),
        create: ['mount', 'pid', ...others],
        stdio: { stdout: 'pass' },
      })
      t.equal((await run(launcher, plan)).output.trim(), readlinkSync(`/proc/self/ns/${kind}`), `the host's ${kind}`)
    }
    await launcher.close()
    await until(() => left().length === 0, 'no cgroup is left')
  })

  t.test('in a user namespace that it joins its namespaces are not those that the slot had', async (t) => {
    const launcher = await Launcher.start({ warm: cgroup().attach })
    const map = '0 100000 65536\n'
    const whole = makePlan(rootfs, { argv: ['sleep', '1000'], cgroup: cgroup(), create: ['user', 'mount', 'pid'] })
    const withoutDevices = (plan: typeof whole) => plan.operations.filter(({ op }) => op !== 'mknod')
    const idMaps = { uid: map, gid: map }
    const monitor = await launcher.launch({ ...whole, idMaps, operations: withoutDevices(whole) }, [])
    for (let i = 0; i < 3; i++) {
      await until(() => launcher.warm, 'a slot is warm')
      const joined = makePlan(rootfs, {
        argv: ['sh', '-c', 'hostname inside && hostname && readlink /proc/self/ns/user'],
        cgroup: cgroup(),
        create: ['mount', 'pid', 'network', 'uts', 'ipc'],
        join: [{ type: 'user', path: `/proc/${monitor.pid}/ns/user` }],
        stdio: { stdout: 'pass' },
      })
      const { output } = await run(launcher, { ...joined, idMaps, operations: withoutDevices(joined) })
      t.equal(output, `inside\n${readlinkSync(`/proc/${monitor.pid}/ns/user`)}\n`, 'it has rights over its own')
    }
    await monitor.kill(9)
    await monitor.exited
    await launcher.close()
    await until(() => left().length === 0, 'no cgroup is left')
  })

  t.test('a failed start from a slot, an exec, and joined namespaces', async (t) => {
    const launcher = await Launcher.start({ warm: cgroup().attach })
    await until(() => launcher.warm, 'a slot is warm')
    await t.rejects(launcher.launch(makePlan(rootfs, { argv: ['nothing'], cgroup: cgroup() }), []), {
      code: 'COMMAND_NOT_FOUND',
    })
    await until(() => launcher.warm, 'a slot is warm')
    const monitor = await launcher.launch(makePlan(rootfs, { argv: ['sleep', '1000'], cgroup: cgroup() }), [])
    t.equal((await (await monitor.exec(makeExec(['sh', '-c', 'exit 4']), [])).exited).exitCode, 4)
    await until(() => launcher.warm, 'a slot is warm')
    const joined = makePlan(rootfs, {
      argv: ['readlink', '/proc/self/ns/net'],
      cgroup: cgroup(),
      create: ['mount', 'pid'],
      join: [{ type: 'network', path: `/proc/${monitor.pid}/ns/net` }],
      stdio: { stdout: 'pass' },
    })
    t.equal((await run(launcher, joined)).output.trim(), readlinkSync(`/proc/${monitor.pid}/ns/net`))
    await monitor.kill(9)
    await monitor.exited
    await launcher.close()
    await until(() => left().length === 0, 'no cgroup is left')
  })

  t.test('no slot outlives its launcher, however that dies', async (t) => {
    const launcher = await Launcher.start({ warm: cgroup().attach })
    await until(() => launcher.warm, 'a slot is warm')
    process.kill(launcher.pid, 'SIGKILL')
    await until(() => left().length === 0, 'the slot is gone')
    t.equal((await where(launcher)).at.length, controllers.length)
    await until(() => launcher.warm, 'a slot is warm')
    /* The slot itself is killed: what it leaves is removed at the next launcher's start. */
    const monitor = /^PPid:\t(\d+)/m.exec(readFileSync(`/proc/${warmProcesses()}/status`, 'utf8'))![1]!
    process.kill(Number(monitor), 'SIGKILL')
    await until(() => warmProcesses() === '', 'its stub is dead')
    t.not(left().length, 0)
    await launcher.close()
    const next = await Launcher.start({ warm: cgroup().attach })
    await until(() => left().length === 1 && warmProcesses() !== '', 'one new slot is there')
    await next.close()
    await until(() => left().length === 0, 'no cgroup is left')
  })
}
