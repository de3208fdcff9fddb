/** SELinux, where the kernel has it and enforces a policy that knows containers: `npm run test:vm -- selinux` boots such one. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { isSelinuxOn } from '../../lib/security/selinux-machine.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { testRuntime } from '../fixtures/runtime.js'
import { impossibleHere } from '../peers.js'
import type { ContainerOptions } from '../../lib/index.js'

const enforces = isSelinuxOn() && readFileSync('/sys/fs/selinux/enforce', 'latin1').startsWith('1')
const skip = !enforces && `${impossibleHere} its kernel has no SELinux, or only warns`

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup

interface Ran {
  readonly exitCode: number
  readonly text: string
}

async function run(script: string, options: Partial<ContainerOptions> = {}): Promise<Ran> {
  await using container = await runtime.run({ image, command: ['sh', '-c', script], network: 'none', ...options })
  const { exitCode } = await container.wait()
  const lines: string[] = []
  for await (const { text } of container.logs()) lines.push(text)
  return { exitCode, text: lines.join('\n') }
}

const labelOf = (path: string): string => execFileSync('stat', ['--format=%C', path], { encoding: 'latin1' }).trim()
const own = /^system_u:system_r:container_t:s0:c\d+,c\d+$/
const show = "tr -d '\\000' < /proc/self/attr/current"

t.test('a process is called what inspect says, and so is what is brought in', { skip }, async (t) => {
  await using one = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  await using other = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })
  const { selinux } = one.inspect().security
  t.match(selinux?.process, own)
  t.equal(readFileSync(`/proc/${String(one.pid)}/attr/current`, 'latin1').replace(/\0/g, ''), selinux?.process)
  t.not(other.inspect().security.selinux?.process, selinux?.process, 'another has other categories')
  t.equal((await one.exec(['sh', '-c', show])).stdout, selinux?.process)
  t.equal((await one.exec(['sh', '-c', show], { user: '1000:1000' })).stdout, selinux?.process)
  t.equal((await one.exec(['cat'], { stdin: 'typed' })).stdout, 'typed', 'its streams are its own')
})

t.test('of what it has, all is its own', { skip }, async (t) => {
  const { exitCode, text } = await run(
    'echo a > /a && echo b > /dev/shm/b && echo c > /etc/hosts && cat /a /dev/shm/b /etc/hosts && ls /proc/acpi /dev/pts && ' +
      'echo d > /dev/null && echo e > /dev/stderr',
  )
  t.equal(exitCode, 0, text)
})

t.test('a file of the host is not for containers', { skip }, async (t) => {
  const directory = await temporaryDirectory(t, 'podling-label-')
  writeFileSync(`${directory}/file`, 'of the host')
  const bound = { volumes: [`${directory}:/host`] }
  t.match(await run('cat /host/file', bound), { exitCode: 1, text: /Permission denied/ })
  t.match(await run('cat /host/file', { ...bound, selinux: { disable: true } }), { exitCode: 0, text: 'of the host' })
  t.match(await run('cat /host/file', { ...bound, privileged: true }), { exitCode: 0, text: 'of the host' })
})

t.test('Z gives it to one, z to all', { skip }, async (t) => {
  const directory = await temporaryDirectory(t, 'podling-label-')
  const outside = await temporaryDirectory(t, 'podling-label-')
  writeFileSync(`${outside}/file`, 'elsewhere')
  const before = labelOf(`${outside}/file`)
  mkdirSync(`${directory}/below`)
  writeFileSync(`${directory}/below/file`, 'bound')
  execFileSync('ln', ['-s', outside, `${directory}/link`])
  execFileSync('mkfifo', [`${directory}/fifo`])
  await using first = await runtime.run({
    image,
    command: ['sleep', '1000'],
    network: 'none',
    volumes: [`${directory}:/v:Z`],
  })
  const { mount } = first.inspect().security.selinux ?? {}
  t.equal((await first.exec(['cat', '/v/below/file'])).stdout, 'bound')
  for (const name of ['', '/below', '/below/file', '/fifo']) t.equal(labelOf(`${directory}${name}`), mount, name)
  t.equal(labelOf(`${outside}/file`), before, 'nothing through a link')
  t.match(await run('cat /v/below/file', { volumes: [`${directory}:/v`] }), { exitCode: 1, text: /Permission denied/ })

  const shared = { mounts: [{ type: 'bind', source: directory, target: '/v', relabel: 'shared' }] } as const
  t.match(await run('cat /v/below/file', shared), { exitCode: 0, text: 'bound' })
  t.equal((await first.exec(['cat', '/v/below/file'])).stdout, 'bound', 'the first can still')
  t.match(await run('cat /v/below/file', { volumes: [`${directory}:/v`] }), { exitCode: 0, text: 'bound' })
})

t.test('volumes are for all containers', { skip }, async (t) => {
  t.match(await run('echo kept > /v/file; mkdir /v/d', { volumes: ['labelled:/v'] }), { exitCode: 0 })
  t.match(await run('ls /v', { volumes: ['labelled:/v'] }), { exitCode: 0, text: /file/ })
})

t.test('what the machine is made of keeps its labels, by whatever name', { skip }, async (t) => {
  const directory = await temporaryDirectory(t, 'podling-label-')
  const before = labelOf('/etc/hostname')
  execFileSync('ln', ['-s', '/etc', `${directory}/link`])
  for (const source of ['/etc', `${directory}/link`]) {
    await t.rejects(run('true', { volumes: [`${source}:/v:z`] }), {
      code: 'INVALID_OPTION',
      message: /keeps its labels/,
    })
  }
  t.equal(labelOf('/etc/hostname'), before)
})

t.test('labels that were asked for', { skip }, async (t) => {
  const { text } = await run(show, { selinux: { level: 's0:c7,c9' } })
  t.equal(text, 'system_u:system_r:container_t:s0:c7,c9')
  await t.rejects(run('true', { selinux: { type: 'no_such_t' } }), { code: 'INVALID_OPTION', message: /no such label/ })
  await using pod = await runtime.pods.create({ name: 'labelled', network: 'none' })
  const [one, other] = [
    await run(show, { pod: pod.name, network: 'pod' }),
    await run(show, { pod: pod.name, network: 'pod' }),
  ]
  t.match(one.text, own)
  t.equal(one.text, other.text, 'a pod has one for all that is in it')
})

t.test('a process without rights of its own, a terminal, and a small init', { skip }, async (t) => {
  const plain = await run(show, { noNewPrivileges: true })
  t.match(plain.text, own, 'no_new_privs does not keep it from its label')
  t.match((await run(show, { tty: true })).text, own)
  t.match((await run(show, { init: true })).text, own)
})
