/**
 * The kernel's keyrings know users, and not containers: root of a container without a user namespace of its own is root
 * to them, and could link the keyring of the host's root to its own session.
 */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { attackLab, without } from '../fixtures/attack-lab.js'

const lab = await attackLab(t)
const name = `podling-spec-${String(process.pid)}`
const host = (...words: string[]) => execFileSync(lab.attack, words, { encoding: 'utf8' }).trim()
host('key-add', name, 'a-key-of-the-host')
t.teardown(() => host('key-forget', name))
const read = { command: ['attack', 'key-read', name] }
const session = { command: ['attack', 'key-session'] }

t.test('without the filter', async (t) => {
  t.strictSame((await lab.weak({ ...read, seccomp: 'unconfined' }, {})).lines, ['ok a-key-of-the-host'])
})

t.test('without a session of its own', async (t) => {
  const { lines } = await lab.weak({ ...session, seccomp: 'unconfined' }, { plan: without('keyring') })
  t.strictSame(lines, [host('key-session')], 'it has the host’s session keyring')
})

t.test('Podling', async (t) => {
  t.match((await lab.strong(read)).lines, [/^E/])
  t.match((await lab.strong({ ...session, seccomp: 'unconfined' })).lines, [/^ok /])
  t.notSame((await lab.strong({ ...session, seccomp: 'unconfined' })).lines, [host('key-session')])
  const sleeper = { command: ['sleep', '1000'], seccomp: 'unconfined', network: 'none' } as const
  await using container = await lab.runtime.run({ image: lab.image, ...sleeper })
  const { stdout } = await container.exec(session.command)
  t.match(stdout, /^ok /)
  t.not(stdout.trim(), host('key-session'), 'nor has a command that is brought in')
})
