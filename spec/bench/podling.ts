/** Podling as the benchmark uses it: only its public API. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Workspace } from './workspace.js'

/** The part of a container's handle that is used here. */
export interface Container extends AsyncDisposable {
  readonly id: string
  readonly pid: number | undefined
  wait(): Promise<{ readonly exitCode: number }>
  exec(argv: readonly string[]): Promise<{ readonly exitCode: number }>
  spawn(argv: readonly string[]): Promise<{
    readonly stdout: AsyncIterable<Uint8Array>
    readonly exited: Promise<{ readonly exitCode: number }>
  }>
  remove(options?: { readonly force?: boolean }): Promise<void>
}

export interface ContainerOptions {
  readonly image: string
  readonly command: readonly string[]
  readonly network: 'none' | 'host'
  readonly memory?: string
  readonly cpus?: number
  readonly pidsLimit?: number
}

export interface Runtime extends AsyncDisposable {
  readonly images: { import(source: string, options: { readonly ref: string }): Promise<unknown> }
  run(options: ContainerOptions): Promise<Container>
  close(): Promise<void>
}

interface Podling {
  readonly Runtime: { open(options: { readonly root: string; readonly runRoot: string }): Promise<Runtime> }
}

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
): Promise<{ runtime: Runtime; dispose: () => Promise<void> }> {
  const { Runtime } = (await import('podling')) as unknown as Podling
  const home = await mkdtemp(join(directory, 'podling-'))
  const runtime = await Runtime.open({ root: join(home, 'root'), runRoot: join(home, 'run') })
  const dispose = async (): Promise<void> => {
    await runtime.close()
    await rm(home, { recursive: true, force: true })
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
export async function timeRun(runtime: Runtime, network: 'none' | 'host' = 'none'): Promise<number> {
  const start = performance.now()
  const container = await runtime.run({ image: IMAGE, command: ['/bin/true'], network, ...LIMITS })
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
