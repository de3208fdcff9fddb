/** The Podman of an ordinary user on podling-oci, beside the same on runc. */
import { chmodSync, chownSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  bothSay,
  engineImage,
  imageName,
  inTerminal,
  ownMachine,
  runtimeNames,
  terminalScript,
} from '../fixtures/engine.js'
import { within } from '../fixtures/leftovers.js'
import { makeUser } from '../fixtures/ordinary-user.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { podmanExec, rootlessPodman } from '../fixtures/podman.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) {
  const needed = needs('root', 'podman', 'runc', 'uidmap', 'busybox', 'skopeo', 'python3')
  if (needed.skip === undefined) ownMachine()

  t.test('containers of an ordinary user', needed, async (t) => {
    const archive = await engineImage(t)
    const engines = []
    for (const runtime of runtimeNames) {
      const user = makeUser(t)
      const copy = join(user.home, 'app.tar')
      copyFileSync(archive, copy)
      chmodSync(copy, 0o644)
      chownSync(copy, user.uid, user.gid)
      engines.push(await rootlessPodman(t, runtime, copy, user))
    }
    const said = await bothSay(t, engines, async (podman, tell) => {
      const { run } = podman
      const look =
        'id -u; cat /proc/self/uid_map | wc -l; echo > /dev/null; stat -c %u /etc; grep CapEff /proc/self/status'
      tell('run', await run('--rm', imageName, 'sh', '-c', `${look}; echo err >&2; exit 7`))
      tell('not there', await run('--rm', imageName, 'nothing'))
      tell(
        'another user',
        await run('--rm', '--user', '1234:5678', '--read-only', imageName, 'sh', '-c', 'id; touch /x 2>&1'),
      )
      tell('stdin', await podman.feed('fed\n', 'run', '--rm', '--network', 'none', '--interactive', imageName, 'cat'))
      const terminal = ['run', '--rm', '--network', 'none', '--interactive', '--tty', '--sig-proxy=false', imageName]
      tell('terminal', await inTerminal(t, podman.argv(...terminal, 'sh', '-c', terminalScript), podman.env))
      const state = (): Promise<string> =>
        podman.must('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', 'c')
      const settled = (): Promise<string> => within(20_000, state, (text) => !text.startsWith('stopped'))
      tell('detached', await run('--detach', '--name', 'c', imageName, 'sh', '-c', sleeper))
      tell('logs', await within(10_000, () => podman.must('logs', 'c'), (logs) => logs.includes('begun'))) // prettier-ignore
      tell('exec', await podmanExec(podman, 'c', 'sh', '-c', 'id -u; echo err >&2; exit 9'))
      tell(
        'exec as another',
        await podmanExec(podman, '--user', 'nobody', '--workdir', '/tmp', 'c', 'sh', '-c', 'id -u; pwd'),
      )
      tell('top', await podman.must('top', 'c', 'user', 'comm'))
      tell('stop', [await podman.call('stop', '--time', '5', 'c'), await settled()])
      tell('start', [await podman.call('start', 'c'), await state()])
      tell('rm', await podman.call('rm', '--force', '--time', '0', 'c'))
    })
    t.match(said.get('run'), { code: 7, stdout: /^0\n2\n0\nCapEff/, stderr: 'err\n' })
    t.match(said.get('not there'), { code: 127 })
    t.match(said.get('another user'), { stdout: /^uid=1234[^]*Read-only/ })
    t.match(said.get('stdin'), { code: 0, stdout: 'fed\n' })
    t.match(said.get('terminal'), /^\/dev\/pts\/0\n101\nexit 4\n$/)
    t.equal(said.get('logs'), 'begun')
    t.match(said.get('exec'), { code: 9, stdout: '0\n', stderr: 'err\n' })
    t.match(said.get('exec as another'), { stdout: '65534\n/tmp\n' })
    t.match(said.get('stop'), [{ code: 0 }, 'exited 6'])
    t.match(said.get('start'), [{ code: 0 }, 'running 0'])
  })
}

const sleeper = `trap 'exit 6' TERM; echo begun; while :; do sleep 0.1; done`
