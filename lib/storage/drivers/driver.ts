/** What gives a container its root. */

/**
 * How the root is to be mounted: the operation of the launch plan that does it, as data (see lib/launch/plan.ts, whose
 * types these fit).
 */
export type RootMount =
  | {
      readonly op: 'root-overlay'
      /** Host directories, topmost first. */
      readonly lower: readonly string[]
      readonly upper?: string
      readonly work?: string
      readonly options: readonly string[]
      /** An empty directory of the host, over which it is mounted in the container's own mount namespace. */
      readonly at: string
    }
  | { readonly op: 'root-bind'; readonly source: string }

export interface RootOptions {
  /**
   * The file system may leave out all syncs of what the container writes (overlay's `volatile`): an fsync(2) in the
   * container costs nothing, and what it wrote is worth nothing after a crash of the machine. For containers that don't
   * outlive their host process. @default false
   */
  readonly volatile?: boolean
}

/**
 * A storage driver. It does no bookkeeping: whoever prepares a container keeps a reference to its layer until after
 * remove(), and knows which containers there are.
 */
export interface StorageDriver {
  readonly name: 'overlay'
  /**
   * Make what a container writes to. Without a layer the root is empty. Preparing again, after a crash, is no error and
   * keeps what is there.
   */
  prepare(containerId: string, chainId: string | undefined): Promise<void>
  /** Where the root of a prepared container comes from. @throws PodlingError STATE_INVALID when it isn't prepared */
  rootOperation(containerId: string, options?: RootOptions): RootMount
  /** Where the root stands in the container's mount namespace until it becomes `/`; `root.path` of its OCI spec. */
  rootPath(containerId: string): string
  /** The containers that are prepared. */
  list(): Promise<string[]>
  /** Remove all that the container wrote, whatever it is. Nobody may have it mounted. 'Already gone' is success. */
  remove(containerId: string): Promise<void>
  /** Let go of what the driver keeps ready. Roots stay as they are. */
  close(): Promise<void>
}
