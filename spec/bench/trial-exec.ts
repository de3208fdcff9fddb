/** One more process in a running container, to its result. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { has } from '../peers.js'
import { makeBundle } from './oci-bundle.js'
import { command, Podman } from './peers.js'
import { IMAGE, LIMITS, openRuntime, repeat, timeExec } from './podling.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'

const run = promisify(execFile)
const SLEEP = ['/bin/sleep', '1000000'] as const

/** Run a command that leaves a container behind, which must not get a pipe of ours: it would never reach its end. */
async function detach(program: string, argv: readonly string[]): Promise<void> {
  const [code] = (await once(spawn(program, argv, { stdio: ['ignore', 'ignore', 'inherit'] }), 'exit')) as [
    number | null,
  ]
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}`)
}

async function podling({ workspace }: Context): Promise<Subject[]> {
  const { runtime, dispose } = await openRuntime(workspace.directory, workspace.tar)
  try {
    const container = await runtime.run({ image: IMAGE, command: SLEEP, network: 'none', ...LIMITS })
    return [
      {
        name: 'podling exec',
        sample: async (count) => ({ 'podling exec': await repeat(count, () => timeExec(container)) }),
        close: dispose,
      },
    ]
  } catch (error) {
    await dispose()
    throw error
  }
}

async function runc({ workspace }: Context): Promise<Subject[]> {
  if (!has('runc')) return []
  const bundle = await makeBundle(workspace, 'runc-exec', 'own', SLEEP)
  const argv = ['--root', join(workspace.directory, 'runc-exec-state')]
  const id = `bench-exec-${String(process.pid)}`
  await detach('runc', [...argv, 'run', '--detach', '--bundle', bundle, id])
  return [
    command(workspace, 'runc exec', ['runc', ...argv, 'exec', id, '/bin/true'], {
      close: async () => {
        await run('runc', [...argv, 'delete', '--force', id])
      },
    }),
  ]
}

async function podman({ workspace }: Context): Promise<Subject[]> {
  const podman = await Podman.make(workspace)
  if (podman === undefined) return []
  const id = await podman.call('run', '--detach', ...podman.containerFlags('own'), podman.image, ...SLEEP)
  const subject = podman.subject('podman exec', 30, ['exec', id, '/bin/true'])
  return [{ ...subject, close: () => podman.close() }]
}

export const exec: Trial = {
  name: 'exec',
  about: "exec of /bin/true in a running container to its result; peers' as whole commands",
  own: false,
  async run(context) {
    const samples = await inTurn(context, await gather(context, { podling, runc, podman }))
    return [...samples].map(([subject, values]) => ({
      trial: 'exec',
      subject,
      unit: 'ms',
      samples: values,
      ...(subject === 'podling exec' ? { aim: 'below 4 ms' } : {}),
    }))
  },
}
