/** One container from nothing: a fresh process of Node that imports the library, opens a root, runs a container and ends. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Runtime } from 'podling'
import { command, Podman } from './peers.js'
import { IMAGE } from './podling.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'

const HOST = fileURLToPath(new URL('./cold-host.js', import.meta.url))

async function podling({ workspace }: Context): Promise<Subject[]> {
  const home = await mkdtemp(join(workspace.directory, 'podling-'))
  const runRoot = await mkdtemp('/run/podling-bench-')
  const root = join(home, 'root')
  const close = async (): Promise<void> => {
    await rm(home, { recursive: true, force: true })
    await rm(runRoot, { recursive: true, force: true })
  }
  try {
    await using runtime = await Runtime.open({ root, runRoot, storageDriver: 'overlay' })
    await runtime.images.import(workspace.tar, { ref: IMAGE })
  } catch (error) {
    await close()
    throw error
  }
  const env = { ...process.env, ROOT: root, RUN_ROOT: runRoot }
  const name = 'podling: import, open, run, close'
  return [
    command(workspace, name, [process.execPath, HOST], { most: 50, env, close }),
    command(workspace, 'node alone', [process.execPath, '--eval', '0'], { most: 50 }),
  ]
}

async function podman({ workspace }: Context): Promise<Subject[]> {
  const podman = await Podman.make(workspace)
  return podman === undefined ? [] : [{ ...podman.start('own'), close: () => podman.close() }]
}

export const cold: Trial = {
  name: 'cold',
  about: 'one container from nothing, each as a whole process',
  own: false,
  async run(context) {
    const samples = await inTurn(context, await gather(context, { podling, podman }))
    return [...samples].map(([subject, values]) => ({ trial: 'cold', subject, unit: 'ms', samples: values }))
  },
}
