import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs'
import { runHooks } from '../container/hooks/run-hooks.js'
import { hookState } from '../container/hooks/hook-state.js'
import type { Context } from './context.js'
import { hostHooks } from './host-hooks.js'
import { OciError } from './oci-error.js'
import { signalInit, statusOf } from './process-of.js'
import type { ContainerRecord } from './record.js'
import type { Store } from './store.js'

/** `start ID` */
export async function start({ store }: Context, id: string): Promise<number> {
  await store.change(id, (record) => startMade(store, record))
  return 0
}

/** Let go on what waits for its start, and run the hooks that come after. */
export async function startMade(store: Store, record: ContainerRecord): Promise<void> {
  const { id } = record
  switch (statusOf(record, store.fifo(id), false)) {
    case 'created':
      break
    case 'stopped':
      throw new OciError('cannot start a container that has stopped')
    case 'running':
      throw new OciError('cannot start an already running container')
    case 'paused':
      throw new OciError('cannot start a container in the paused state')
    case 'creating':
      throw new OciError('cannot start a container in the creating state')
  }
  sayStart(store.fifo(id))
  const spec = store.readSpec(id)
  const state = hookState({ id, spec }, record.bundle, 'running')
  try {
    await runHooks('poststart', hostHooks(spec.hooks, 'poststart'), { ...state, pid: record.pid ?? 0 })
  } catch (error) {
    signalInit(record, 9)
    throw error
  }
}

/** The process has it open; without one the open fails instead of waiting. */
function sayStart(fifo: string): void {
  let fd
  try {
    fd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENXIO' || code === 'ENOENT') throw new OciError('cannot start a container that has stopped')
    throw error
  }
  try {
    writeSync(fd, '0')
  } finally {
    closeSync(fd)
  }
  rmSync(fifo, { force: true })
}
