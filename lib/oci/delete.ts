import { setTimeout as sleep } from 'node:timers/promises'
import { runHooks } from '../container/hooks/run-hooks.js'
import { hookState } from '../container/hooks/hook-state.js'
import { removeCgroups } from './cgroup-end.js'
import type { Context } from './context.js'
import { hostHooks } from './host-hooks.js'
import { OciError } from './oci-error.js'
import { isAlive, signalInit, statusOf } from './process-of.js'
import type { ContainerRecord } from './record.js'
import type { Store } from './store.js'

const PATIENCE = 10_000

/** `delete [--force] ID` */
export async function deleteContainer({ store, line, log }: Context, id: string): Promise<number> {
  const force = line.has('force')
  try {
    await store.change(id, async (record) => {
      const status = statusOf(record, store.fifo(id), false)
      if (!force && status !== 'stopped' && status !== 'created') {
        throw new OciError(`cannot delete container ${id} that is not stopped: ${status}`)
      }
      await destroy(store, record, (message) => {
        log.warn(message)
      })
    })
  } catch (error) {
    if (!force || !(error instanceof OciError) || error.message !== 'container does not exist') throw error
    // One that was killed before it had written anything has a directory and no record.
    store.remove(id)
  }
  return 0
}

/** End it, where it has not ended, and remove all there is of it. */
export async function destroy(store: Store, record: ContainerRecord, warn: (message: string) => void): Promise<void> {
  const { id } = record
  if (signalInit(record, 9)) await ended(record)
  await removeCgroups(record.cgroup)
  try {
    const spec = store.readSpec(id)
    for (const hook of hostHooks(spec.hooks, 'poststop')) {
      // "If any hook fails, the runtime must log a warning, but continue as if the hook had succeeded" (runtime.md, "Lifecycle").
      await runHooks('poststop', [hook], hookState({ id, spec }, record.bundle, 'stopped')).catch((error: unknown) => {
        warn((error as Error).message)
      })
    }
  } finally {
    store.remove(id)
  }
}

async function ended(record: ContainerRecord): Promise<void> {
  const end = performance.now() + PATIENCE
  while (isAlive(record)) {
    if (performance.now() > end) throw new OciError('container init still running')
    await sleep(2)
  }
}
