/** podling-oci beside the OCI runtimes that engines call otherwise: by its commands alone, and below podman. */
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { podlingOci } from '../fixtures/oci.js'
import { has, type PeerName } from '../peers.js'
import { makeBundle } from './oci-bundle.js'
import { command, Podman } from './peers.js'
import { gather, inTurn, type Context, type Maker, type Subject, type Trial } from './trial.js'
import type { Workspace } from './workspace.js'

/** As engines call it; what is made must not hold a pipe of ours. */
const COMMANDS = `
"$1" --root "$2" create --bundle "$3" "$4" </dev/null >/dev/null 2>&1
"$1" --root "$2" start "$4"
"$1" --root "$2" delete --force "$4"`

/** crun works with no hybrid layout unless the cgroup2 tree is out of its sight. */
const WRAPPER = `#!/bin/sh
exec unshare -m sh -c 'umount /sys/fs/cgroup/unified; exec crun --cgroup-manager cgroupfs "$@"' sh "$@"
`

interface OciRuntime {
  readonly name: string
  readonly program: string
}

async function crunProgram(workspace: Workspace): Promise<OciRuntime> {
  if (!workspace.hybrid) return { name: 'crun', program: 'crun' }
  const program = join(workspace.directory, 'crun-wrapper')
  await writeFile(program, WRAPPER)
  await chmod(program, 0o755)
  return { name: 'crun, in its wrapper', program }
}

async function runtimes(workspace: Workspace): Promise<OciRuntime[]> {
  const peers: [PeerName, () => Promise<OciRuntime>][] = [
    ['crun', () => crunProgram(workspace)],
    ['runc', () => Promise.resolve({ name: 'runc', program: 'runc' })],
  ]
  const found = await Promise.all(peers.flatMap(([peer, make]) => (has(peer) ? [make()] : [])))
  return [{ name: 'podling-oci', program: podlingOci }, ...found]
}

/** One maker for each that is wanted by its word. */
function byCommands(word: string): Maker {
  return async ({ workspace }) => {
    const subjects: Subject[] = []
    for (const { name, program } of await runtimes(workspace)) {
      if (!name.startsWith(word)) continue
      const bundle = await makeBundle(workspace, `oci-${word}`, 'own', ['/bin/true'])
      const state = join(workspace.directory, `oci-${word}-state`)
      const argv = ['sh', '-ec', COMMANDS, 'sh', program, state, bundle, 'bench-oci-@@']
      subjects.push(command(workspace, `${name}: create, start, delete`, argv, { most: 50 }))
    }
    return subjects
  }
}

async function podman({ workspace }: Context): Promise<Subject[]> {
  const podman = await Podman.make(workspace)
  if (podman === undefined) return []
  return (await runtimes(workspace)).map(({ name, program }, index) => ({
    ...podman.subject(`podman run, on ${name}`, 30, [
      '--runtime',
      program,
      ...['run', '--rm', ...podman.containerFlags('own'), podman.image, '/bin/true'],
    ]),
    ...(index === 0 ? { close: () => podman.close() } : {}),
  }))
}

export const oci: Trial = {
  name: 'oci',
  about: 'an OCI runtime by its commands, and podman run on it, each as whole commands',
  own: false,
  async run(context) {
    const makers = { podling: byCommands('podling'), crun: byCommands('crun'), runc: byCommands('runc'), podman }
    const samples = await inTurn(context, await gather(context, makers))
    return [...samples].map(([subject, values]) => ({ trial: 'oci', subject, unit: 'ms', samples: values }))
  },
}
