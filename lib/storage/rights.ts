/** What storage may do by itself. Root gives files to whom he likes; an ordinary user has it done in his user namespace. */
import { chmodSync, chownSync } from 'node:fs'
import type { IdCounts } from './layer-owner.js'
import type { OpenUnpacker, RootAttributes } from './layer-types.js'
import { runOperations } from './run-operations.js'

export interface StorageRights {
  /**
   * Whether containers are in a user namespace that is not the machine's first: overlay's own attributes are then of the
   * class `user`, and there are no devices.
   */
  readonly confined: boolean
  /** @default all there are */
  readonly ids?: IdCounts
  /** Give an own, new directory this owner, as containers count, and this mode. */
  give(directory: string, to: RootAttributes): void | Promise<void>
}

/** Those of root. */
export const fullRights: StorageRights = {
  confined: false,
  give(directory, { uid, gid, mode }) {
    if (uid !== 0 || gid !== 0) chownSync(directory, uid, gid)
    chmodSync(directory, mode & 0o7777)
  },
}

/** Those of an ordinary user, who is root in his containers. */
export function userRights(openUnpacker: OpenUnpacker, ids: IdCounts): StorageRights {
  return {
    confined: true,
    ids,
    give(directory, { uid, gid, mode }) {
      if (uid === 0 && gid === 0) {
        chmodSync(directory, mode & 0o7777)
        return
      }
      const own = { uid, gid, mode: mode & 0o7777, path: '' }
      return runOperations(openUnpacker, directory, [['directory', own]], 'give to its owner')
    },
  }
}
