/**
 * What /proc/self/status says of capabilities, in a container of Podman and in ours from the same words: all five sets, for
 * root and for others, at the start and for commands that are brought in.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { ContainerOptions, SpawnOptions } from 'podling'
import t from 'tap'
import { capabilitiesLabel } from '../../lib/container/capability-sets.js'
import { busyboxRootfs, testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

type Words = readonly [flags: readonly string[], options: Partial<ContainerOptions>]

const label = (text: string): Words => [
  [`--label=${capabilitiesLabel}=${text}`],
  { labels: { [capabilitiesLabel]: text } },
]
const user = (name: string): Words => [[`--user=${name}`], { user: name }]
const add = (...names: string[]): Words => [names.map((name) => `--cap-add=${name}`), { capAdd: names }]
const drop = (...names: string[]): Words => [names.map((name) => `--cap-drop=${name}`), { capDrop: names }]
const privileged: Words = [['--privileged'], { privileged: true }]
const noNewPrivileges: Words = [['--security-opt=no-new-privileges'], { noNewPrivileges: true }]

const starts: readonly (readonly Words[])[] = [
  [],
  [add('net_admin', 'CAP_SYS_TIME')],
  [drop('kill', 'CHOWN')],
  [drop('all')],
  [drop('ALL'), add('NET_BIND_SERVICE')],
  [add('ALL'), drop('CHOWN')],
  [privileged],
  [noNewPrivileges, add('net_admin')],
  [user('0:50'), add('net_admin')],
  [user('1000')],
  [user('app'), add('net_admin')],
  [user('app'), add('ALL')],
  [user('1000'), drop('all'), add('net_bind_service')],
  [user('1000:50'), privileged],
  [user('1000'), noNewPrivileges, add('net_admin')],
  [label('CHOWN,net_bind_service')],
  [label('net_admin'), add('net_admin'), user('1000')],
  [label('net_admin'), add('net_admin')],
  [label('net_admin')],
  [label('')],
]

/** Containers that commands are brought in to. */
const entered: readonly (readonly Words[])[] = [
  [add('net_admin')],
  [user('1000'), add('net_admin')],
  [user('app'), add('net_admin'), noNewPrivileges],
  [user('app'), privileged],
]

const execs: readonly (readonly [flags: readonly string[], options: SpawnOptions])[] = [
  [[], {}],
  [['--user=root'], { user: 'root' }],
  [['--user=app'], { user: 'app' }],
  [['--user=2000'], { user: '2000' }],
  [['--privileged'], { privileged: true }],
  [['--privileged', '--user=0'], { privileged: true, user: '0' }],
  [['--privileged', '--user=2000'], { privileged: true, user: '2000' }],
]

const status = ['cat', '/proc/self/status']

t.test('as Podman gives them', needs('root', 'podman', 'runc', 'busybox'), async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podling-podman-'))
  const podman = (...words: readonly string[]): string => {
    const store = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs']
    return execFileSync('podman', [...store, '--runtime', 'runc', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    }).toString()
  }
  t.teardown(() => {
    podman('rm', '--all', '--force', '--time', '0')
    // What cleans up after each command that was brought in may still be at it.
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  })
  const archive = join(directory, 'image.tar')
  writeFileSync(archive, await buffer(await busyboxRootfs()))
  podman('import', archive, 'caps:1')
  const world = await testRuntime()
  t.teardown(() => world[Symbol.asyncDispose]())
  const run = (options: Partial<ContainerOptions>) =>
    world.runtime.run({ image: world.image, network: 'none', ...options })

  for (const words of starts) {
    const { flags, options, title } = joined(words)
    const theirs = podman('run', '--rm', '--network=none', ...flags, 'caps:1', ...status)
    await using container = await run({ ...options, command: status })
    await container.wait()
    const lines: string[] = []
    for await (const { text } of container.logs()) lines.push(text)
    t.same(confinement(lines.join('\n')), confinement(theirs), title)
  }

  for (const words of entered) {
    const { flags, options, title } = joined(words)
    const id = podman('run', '--detach', '--network=none', ...flags, 'caps:1', 'sleep', '1000').trim()
    await using container = await run({ ...options, command: ['sleep', '1000'] })
    for (const [execFlags, execOptions] of execs) {
      const theirs = podman('exec', ...execFlags, id, ...status)
      const { stdout } = await container.exec(status, execOptions)
      t.same(confinement(stdout), confinement(theirs), `${title}; exec ${execFlags.join(' ')}`)
    }
  }
})

t.test(
  'what is dropped is nobody’s, where Podman makes a container that can’t start',
  needs('root', 'busybox'),
  async (t) => {
    await using world = await testRuntime()
    const options = {
      user: 'app',
      capAdd: ['ALL'],
      capDrop: ['CHOWN'],
      network: 'none',
      command: ['sleep', '1000'],
    } as const
    await using container = await world.runtime.run({ image: world.image, ...options })
    const { CapBnd, CapPrm, CapAmb } = confinement((await container.exec(['cat', '/proc/1/status'])).stdout)
    t.equal(BigInt(`0x${String(CapPrm)}`) & 1n, 0n)
    t.strictSame([CapPrm, CapAmb], [CapBnd, CapBnd])
  },
)

t.test('a label that names no capability', needs('root', 'busybox'), async (t) => {
  await using world = await testRuntime()
  const image = await world.runtime.images.import(await busyboxRootfs(), {
    ref: 'labelled:1',
    config: { labels: { [capabilitiesLabel]: 'CHOWN,NET_ADMN' } },
  })
  await t.rejects(world.runtime.containers.create({ image, network: 'none', command: ['true'] }), {
    code: 'CAPABILITY_UNKNOWN',
    message: /io\.containers\.capabilities: 'NET_ADMN' is no capability; did you mean NET_ADMIN\?/,
  })
  const labels = { [capabilitiesLabel]: 'CHOWN' }
  await using container = await world.runtime.run({ image, labels, network: 'none', command: ['sleep', '1000'] })
  t.equal(confinement((await container.exec(['cat', '/proc/1/status'])).stdout)['CapBnd'], '0000000000000001')
})

function joined(words: readonly Words[]) {
  const flags = words.flatMap(([some]) => some)
  return {
    flags,
    options: Object.assign({}, ...words.map(([, options]) => options)) as Partial<ContainerOptions>,
    title: flags.join(' ') || 'nothing said',
  }
}

/** The lines of proc_pid_status(5) about what a process may do. */
function confinement(text: string): Record<string, string | undefined> {
  const names = ['Uid', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp']
  return Object.fromEntries(names.map((name) => [name, new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(text)?.[1]]))
}
