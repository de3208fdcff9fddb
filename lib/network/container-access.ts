/** What networks must know of containers, which stand after them in the order of the parts: given to them by the runtime. */
import type { NetworkOperation, NetworkStatus } from './attachment.js'

export interface ContainerAccess {
  /** The containers, running or not, that are made for a network: their names. */
  usersOf(network: string): readonly string[]
  /**
   * Run `work` on a container that runs, with no other change to it meanwhile.
   * @throws PodlingError `CONTAINER_NOT_FOUND`, `INVALID_STATE`
   */
  withRunning<T>(idOrName: string, work: (container: RunningContainer) => Promise<T>): Promise<T>
  /** What containers that run have of networks. */
  running(): Promise<readonly { readonly id: string; readonly status: NetworkStatus }[]>
  /** Is a container of this id running, or on its way to? */
  lives(id: string): Promise<boolean>
  /** A process in a network namespace of its own, which has done this and stands there. */
  standIn(operations: readonly NetworkOperation[]): Promise<StandIn>
}

export interface StandIn {
  /** The path of its network namespace. */
  readonly netns: string
  /** End it, and the namespace with it. */
  end(): Promise<void>
}

export interface RunningContainer {
  readonly id: string
  readonly name: string
  /** Its pid 1, by which its network namespace is named. */
  readonly pid: number
  /** Who keeps it; with that one's end it is gone for good. */
  readonly monitorPid: number
  /** As it is now, also after {@link changed}. */
  readonly status: NetworkStatus
  /** Resolvers that it has of its own. */
  readonly dns: readonly string[]
  /** Has it a network namespace of its own, to which links can be added? */
  readonly ownNetwork: boolean
  /** Run operations in its network namespace. */
  enter(operations: readonly NetworkOperation[]): Promise<void>
  /** Keep what it now has. */
  changed(status: NetworkStatus): Promise<void>
}
