/**
 * Networks of an ordinary user: the programs of rootless/ whose names begin with `network-`, each run by a user that is made
 * for it, on a host of their own: 192.0.2.1 and 2001:db8::1, with a neighbour 192.0.2.2.
 */
import t, { type Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { temporaryDirectory } from '../fixtures/directory.js'
import { makeUser, runAs } from '../fixtures/ordinary-user.js'
import { inOwnNetwork, startAgent } from '../fixtures/own-network.js'
import { startResolver } from '../fixtures/resolver.js'
import { needs } from '../peers.js'

/** A host with a way out, where ordinary users may have tap devices, as udev has it. */
async function makeHost(t: Test): Promise<void> {
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe' })
  const neighbour = await startAgent(t)
  run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(neighbour.pid))
  for (const address of ['192.0.2.1/24', '2001:db8::1/64'])
    run('ip', 'addr', 'add', address, 'dev', 'uplink', ...nodad(address))
  for (const address of ['192.0.2.2/24', '2001:db8::2/64'])
    await neighbour.run('ip', 'addr', 'add', address, 'dev', 'eth0', ...nodad(address))
  run('ip', 'link', 'set', 'uplink', 'up')
  await neighbour.run('ip', 'link', 'set', 'lo', 'up')
  await neighbour.run('ip', 'link', 'set', 'eth0', 'up')
  run('ip', 'route', 'add', 'default', 'via', '192.0.2.2')
  run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8::2')
  await neighbour.listen('tcp', 7, '0.0.0.0')
  run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/dev/net')
  run('mknod', '-m', '666', '/dev/net/tun', 'c', '10', '200')
  await startResolver(t, '0.0.0.0', '192.0.2.80')
}

/** IPv6 addresses at once, with no look around whether somebody has them. */
function nodad(address: string): string[] {
  return address.includes(':') ? ['nodad'] : []
}

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  t.test('networks', needs('root', 'busybox', 'iproute2', 'passt', 'slirp4netns'), async (t) => {
    await makeHost(t)
    const answer = `${await temporaryDirectory(t)}/answer`
    execFileSync('cc', ['-static', '-O1', '-Wall', '-Wextra', '-Werror', '-o', answer, 'spec/fixtures/answer.c'])
    chmodSync(answer.replace(/\/[^/]*$/, ''), 0o755)
    for (const program of ['network-programs'])
      await t.test(program, async (t) => {
        await runAs(t, makeUser(t), program, { environment: { ANSWER: answer } })
      })
  })
}
