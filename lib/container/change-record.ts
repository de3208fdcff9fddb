import { PodlingError } from '../errors.js'
import type { Lifecycle } from './lifecycle.js'
import type { ContainerRecord } from './record.js'

/**
 * Change what the database keeps of a container, from what it keeps now: another process may have changed it.
 * @param change also what else belongs into the same transaction
 * @throws PodlingError `INVALID_STATE` when another process has removed it
 */
export async function changeRecord(
  container: Lifecycle,
  verb: string,
  change: (now: ContainerRecord) => ContainerRecord,
): Promise<void> {
  const { database, records } = container.context
  const { id, name } = container.record
  container.record = await database.transaction(() => {
    const now = records.get(id)
    if (now === undefined) {
      throw new PodlingError('INVALID_STATE', `${verb} container ${name}: another process has removed it`)
    }
    const changed = change(now)
    void records.put(id, changed)
    return changed
  })
}
