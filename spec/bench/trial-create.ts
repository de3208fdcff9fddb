/** What a container costs before it runs, on an image of one layer and on one of sixty; and the field's table of storage drivers. */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { DriverName, Runtime } from 'podling'
import { makeLayout, makeTar } from '../fixtures/images.js'
import { IMAGE, openRuntime, repeat, timeRun } from './podling.js'
import type { Row } from './table.js'
import type { Context, Trial } from './trial.js'

const drivers: readonly DriverName[] = ['overlay', 'fuse-overlayfs', 'vfs', 'erofs']
const LAYERS = 60

/** Do something with a runtime of each driver that works here. */
async function withDrivers(
  { workspace, say, signal }: Context,
  names: readonly DriverName[],
  work: (runtime: Runtime, driver: DriverName) => Promise<Row[]>,
): Promise<Row[]> {
  const rows: Row[] = []
  for (const driver of names) {
    signal.throwIfAborted()
    try {
      const { runtime, dispose } = await openRuntime(workspace.directory, workspace.tar, driver)
      try {
        rows.push(...(await work(runtime, driver)))
      } finally {
        await dispose()
      }
    } catch (error) {
      say(`${driver} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return rows
}

/** Milliseconds to make a container and remove it. */
async function timeCreate(runtime: Runtime, image: string): Promise<number> {
  const start = performance.now()
  const container = await runtime.containers.create({ image, command: ['/bin/true'], network: 'none' })
  await container.remove()
  return performance.now() - start
}

export const create: Trial = {
  name: 'create',
  about: `create and remove a container, on an image of 1 layer and of ${String(LAYERS)}`,
  own: true,
  async run(context) {
    const directory = await mkdtemp(join(context.workspace.directory, 'layers-'))
    const layers = await repeat(LAYERS, (index) => makeTar([{ name: `layer${String(index)}`, content: 'x' }]))
    await makeLayout(directory, [{ layers }])
    return withDrivers(context, ['overlay', 'erofs'], async (runtime, driver) => {
      await runtime.images.load(directory, { ref: 'layers' })
      const few = Math.min(context.runs, 50)
      await timeCreate(runtime, IMAGE)
      const one: number[] = []
      const many: number[] = []
      // In turn, so that what else the machine does falls on both alike.
      for (let index = 0; index < few; index++) {
        one.push(await timeCreate(runtime, IMAGE))
        many.push(await timeCreate(runtime, 'layers'))
      }
      const row = (subject: string, samples: number[], aim?: string): Row => {
        return {
          trial: 'create',
          subject: `podling, ${driver}, ${subject}`,
          unit: 'ms',
          samples,
          ...(aim ? { aim } : {}),
        }
      }
      return [row('1 layer', one), row(`${String(LAYERS)} layers`, many, 'flat')]
    })
  },
}

const MEGABYTES = 128
const FILES = 1000
const write = `dd if=/dev/zero of=/data bs=1M count=${String(MEGABYTES)} conv=fsync 2>/dev/null; rm /data`
const touch = `i=0; while [ $i -lt ${String(FILES)} ]; do : > /f$i; i=$((i+1)); done; rm /f*`

export const storage: Trial = {
  name: 'storage',
  about:
    'what a container writes through each storage driver: in one go, as many small files, and what a new root costs',
  own: true,
  async run(context) {
    const few = Math.min(10, Math.max(3, Math.ceil(context.runs / 10)))
    return withDrivers(context, drivers, async (runtime, driver) => {
      const container = await runtime.run({
        image: IMAGE,
        command: ['/bin/sleep', '1000000'],
        network: 'none',
        detach: true,
      })
      const time = async (script: string): Promise<number> => {
        const start = performance.now()
        const { exitCode, stderr } = await container.exec(['/bin/sh', '-c', script])
        if (exitCode !== 0) throw new Error(stderr)
        return (performance.now() - start) / 1000
      }
      await time(write)
      const sequential = await repeat(few, async () => (MEGABYTES * 1.048576) / (await time(write)))
      const metadata = await repeat(few, async () => ((await time(touch)) * 1e6) / FILES)
      await container.remove({ force: true })
      const snapshot = await repeat(few, () => timeCreate(runtime, IMAGE))
      const start = await repeat(few, () => timeRun(runtime))
      const row = (subject: string, unit: string, samples: number[]): Row => {
        return { trial: 'storage', subject: `${driver}, ${subject}`, unit, samples }
      }
      return [
        row('sequential write', 'MB/s', sequential),
        row('a file made and removed', 'µs', metadata),
        row('a root made and removed', 'ms', snapshot),
        row('a start', 'ms', start),
      ]
    })
  },
}
