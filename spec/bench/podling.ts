/** Podling as the benchmark uses it: only its public API. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Runtime, type Container, type ContainerOptions, type DriverName } from 'podling'
import type { Workspace } from './workspace.js'

/** The limits that every container of the benchmark runs under. */
export const LIMITS = { memory: '256m', cpus: 1, pidsLimit: 100 } as const

export const IMAGE = 'localhost/podling-bench:latest'

/**
 * A runtime with a state directory of its own and the benchmark's image in it.
 * @param directory where the state goes, made here and removed by the returned `dispose`
 */
export async function openRuntime(
  directory: string,
  tar: string,
  storageDriver: DriverName = 'overlay',
): Promise<{ runtime: Runtime; dispose: () => Promise<void> }> {
  const home = await mkdtemp(join(directory, 'podling-'))
  // As by default: what lasts on a disk, what doesn't below /run, which is in memory on every distribution.
  const runRoot = await mkdtemp('/run/podling-bench-')
  const runtime = await Runtime.open({ root: join(home, 'root'), runRoot, storageDriver })
  const dispose = async (): Promise<void> => {
    await runtime.close()
    await rm(home, { recursive: true, force: true })
    await rm(runRoot, { recursive: true, force: true })
  }
  try {
    await runtime.images.import(tar, { ref: IMAGE })
    return { runtime, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Do something with a runtime in the workspace. */
export async function withRuntime<T>(workspace: Workspace, work: (runtime: Runtime) => Promise<T>): Promise<T> {
  const { runtime, dispose } = await openRuntime(workspace.directory, workspace.tar)
  try {
    return await work(runtime)
  } finally {
    await dispose()
  }
}

/** Run a container to its end, and give the milliseconds from the call to the exit. Removing it isn't counted. */
export async function timeRun(
  runtime: Runtime,
  options: Partial<ContainerOptions> = {},
  limits: Partial<ContainerOptions> = LIMITS,
): Promise<number> {
  const start = performance.now()
  const container = await runtime.run({ image: IMAGE, command: ['/bin/true'], network: 'none', ...limits, ...options })
  const { exitCode } = await container.wait()
  const time = performance.now() - start
  await container.remove()
  if (exitCode !== 0) throw new Error(`/bin/true ended with ${String(exitCode)}`)
  return time
}

export async function timeExec(container: Container): Promise<number> {
  const start = performance.now()
  const { exitCode } = await container.exec(['/bin/true'])
  const time = performance.now() - start
  if (exitCode !== 0) throw new Error(`exec of /bin/true ended with ${String(exitCode)}`)
  return time
}

/** Run a function some times, one after the other. */
export async function repeat<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let index = 0; index < count; index++) results.push(await work(index))
  return results
}
