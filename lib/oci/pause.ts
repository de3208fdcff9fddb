import type { Context } from './context.js'
import { freeze } from './freezer.js'
import { OciError } from './oci-error.js'
import { currentStatus } from './state.js'

/** `pause ID` */
export async function pause({ store }: Context, id: string): Promise<number> {
  await store.change(id, async (record) => {
    const status = currentStatus(store, record)
    if (status !== 'running' && status !== 'created') throw new OciError('container not running')
    try {
      await freeze(record.cgroup, true)
    } catch (error) {
      await freeze(record.cgroup, false).catch(() => undefined)
      throw error
    }
  })
  return 0
}

/** `resume ID` */
export async function resume({ store }: Context, id: string): Promise<number> {
  await store.change(id, async (record) => {
    if (currentStatus(store, record) !== 'paused') throw new OciError('container not paused')
    await freeze(record.cgroup, false)
  })
  return 0
}
