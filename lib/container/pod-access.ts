/** What containers must know of pods, which stand after them in the order of the parts: given to them by the runtime. */
import type { Monitor } from '../launch/monitor.js'
import type { ContainerRecord } from './record.js'

export interface PodAccess {
  /**
   * Have all that a container of a pod needs before its start: the pod's holder runs, and what it depends on is as far as
   * it must be.
   * @throws PodlingError `POD_NOT_FOUND`, `INVALID_STATE`, `DEPENDENCY_CYCLE`, `DEPENDENCY_FAILED`, and what a start throws
   */
  prepare(record: ContainerRecord): Promise<void>
  /**
   * The monitor of a pod's holder; undefined when that has just ended. Asked with the container's lock held, so that whoever
   * removes the pod either is noticed here or waits for the lock.
   * @throws PodlingError `POD_NOT_FOUND`, `INVALID_STATE`
   */
  holder(pod: string): Promise<Monitor | undefined>
}

/** Where the runtime puts it. */
export class PodLink {
  #access: PodAccess | undefined

  use(access: PodAccess): void {
    this.#access = access
  }

  get access(): PodAccess {
    if (this.#access === undefined) throw new Error('pods are not wired')
    return this.#access
  }
}
