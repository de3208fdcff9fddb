/** AppArmor, where the kernel has it and apparmor_parser is there. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { ContainerOptions } from '../../lib/index.js'
import { isApparmorOn, loadedProfiles } from '../../lib/security/apparmor-machine.js'
import { testRuntime } from '../fixtures/runtime.js'
import { impossibleHere } from '../peers.js'

const skip =
  (!isApparmorOn() || loadedProfiles() === undefined) &&
  `${impossibleHere} its kernel has no AppArmor, or its profiles are out of sight`

const setup = await testRuntime()
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup
const sleeps = { image, command: ['sleep', '1000'], network: 'none' } as const

const profileOf = (pid: number): string => readFileSync(`/proc/${String(pid)}/attr/current`, 'latin1').trim()

t.test('the profile that containers have by default', { skip }, async (t) => {
  await using container = await runtime.run({ ...sleeps, capAdd: ['SYS_ADMIN'] })
  t.strictSame(container.inspect().security.apparmor, { profile: 'podling-default' })
  t.equal(profileOf(container.pid ?? 0), 'podling-default (enforce)')
  t.match((await container.exec(['cat', '/proc/self/attr/current'])).stdout, /^podling-default \(enforce\)/)
  const mounted = await container.exec(['mount', '-t', 'tmpfs', 'tmpfs', '/tmp'])
  t.match(mounted, { exitCode: /[^0]/ }, 'even one that may mount by its capabilities can’t')
  t.equal((await container.exec(['sh', '-c', 'kill -9 $$'])).signal, 'SIGKILL', 'signals in it come')
  t.equal((await container.exec(['sh', '-c', 'echo x > /a && cat /a && echo y > /dev/null'])).stdout, 'x\n')
})

t.test('what was asked for', { skip }, async (t) => {
  const profile =
    'profile podling-spec-mine flags=(attach_disconnected) { file, capability, signal, deny /etc/passwd r, }'
  execFileSync('apparmor_parser', ['--replace', '--skip-cache'], { input: profile })
  t.teardown(() => execFileSync('apparmor_parser', ['--remove'], { input: profile }))
  const security = async (options: Partial<ContainerOptions>): Promise<unknown[]> => {
    await using container = await runtime.run({ ...sleeps, ...options })
    const { exitCode } = await container.exec(['cat', '/etc/passwd'])
    return [container.inspect().security.apparmor, profileOf(container.pid ?? 0), exitCode]
  }
  t.strictSame(await security({ apparmor: 'podling-spec-mine' }), [
    { profile: 'podling-spec-mine' },
    'podling-spec-mine (enforce)',
    1,
  ])
  t.strictSame(await security({ apparmor: 'unconfined' }), [{ profile: 'unconfined' }, 'unconfined', 0])
  t.strictSame(await security({ privileged: true }), [
    { profile: 'unconfined', reason: 'it is privileged' },
    'unconfined',
    0,
  ])
  await t.rejects(runtime.run({ ...sleeps, apparmor: 'podling-spec-missing' }), {
    code: 'APPARMOR_PROFILE_NOT_LOADED',
    message: /no profile podling-spec-missing is loaded; load it first/,
  })
})
