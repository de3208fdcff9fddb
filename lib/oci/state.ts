import type { Context } from './context.js'
import { print } from './print.js'
import { statusOf } from './process-of.js'
import type { ContainerRecord, Status } from './record.js'
import type { Store } from './store.js'

/** `state ID`: runtime-spec, "State", with what runc adds. */
export function state({ store }: Context, id: string): number {
  print(JSON.stringify(shownState(store, store.read(id)), undefined, 2))
  return 0
}

export function shownState(store: Store, record: ContainerRecord) {
  const status = currentStatus(store, record)
  const { ociVersion, id, bundle, rootfs, created, annotations } = record
  const pid = status === 'stopped' || status === 'creating' ? 0 : (record.pid ?? 0)
  return { ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner: '' }
}

export function currentStatus(store: Store, record: ContainerRecord): Status {
  const held = record.pid === undefined && store.isHeld(record.id)
  return statusOf(record, store.fifo(record.id), held)
}
