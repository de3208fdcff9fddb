/**
 * What distributions forbid an ordinary user, on a kernel that does: each is told with the remedy. It holds for all of the machine,
 * which therefore is the tests' own: `npm run test:vm -- v2` boots such one.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { impossible, needs } from '../peers.js'

const tools = needs('root', 'busybox', 'uidmap')
const shared = process.env['PODLING_OWN_MACHINE'] !== 'true' && 'it is not the tests’ own'

function unless(obstacle: string | false): { skip?: string } {
  return tools.skip === undefined ? impossible(shared || obstacle) : tools
}

for (const [sysctl, forbids, remedy] of [
  ['kernel.unprivileged_userns_clone', '0', '1'],
  ['user.max_user_namespaces', '0', '15000'],
] as const) {
  const file = join('/proc/sys', sysctl.replaceAll('.', '/'))
  t.test(sysctl, unless(!existsSync(file) && `its kernel has no ${sysctl}`), async (t) => {
    const user = makeUser(t)
    const before = readFileSync(file, 'latin1')
    t.teardown(() => {
      writeFileSync(file, before)
    })
    writeFileSync(file, forbids)
    const words = `${sysctl} is ${forbids}; as root: sysctl -w ${sysctl}=${remedy}`
    await runAs(t, user, 'refused', { environment: { CODE: 'PERMISSION_DENIED', WORDS: words } })
  })
}

const mediates = existsSync('/sys/kernel/security/apparmor/features/namespaces/mask')

t.test('a profile of AppArmor', unless(!mediates && 'it has no AppArmor that knows user namespaces'), async (t) => {
  const user = makeUser(t)
  const load = (name: string, rules: string): string => {
    const input = `abi <abi/4.0>, profile ${name} flags=(attach_disconnected) { ${rules} }`
    execFileSync('apparmor_parser', ['--replace', '--skip-cache'], { input })
    t.teardown(() => execFileSync('apparmor_parser', ['--remove'], { input }))
    return `aa-exec -p ${name} --`
  }
  const words = 'EACCES: the AppArmor profile podling-spec-refuses, .*give it the rule "userns,"'
  const environment = { CODE: 'PERMISSION_DENIED', WORDS: `make a user namespace for containers: ${words}` }
  await runAs(t, user, 'refused', { environment, by: load('podling-spec-refuses', 'all, deny userns,') })
  await runAs(t, user, 'opens', { by: load('podling-spec-grants', 'all,') })
})
