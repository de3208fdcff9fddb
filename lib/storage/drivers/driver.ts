/** What gives a container its root. */
import type { LayerFormat } from '../layer-format.js'
import type { RootAttributes } from '../layer-types.js'

/** How the roots of containers are put together: containers-storage.conf(5) has the same words. */
export type DriverName = 'overlay' | 'fuse-overlayfs' | 'vfs' | 'erofs'

export const driverNames: readonly DriverName[] = ['overlay', 'fuse-overlayfs', 'vfs', 'erofs']

/**
 * One step of how the root is to be mounted: an operation of the launch plan, as data (see lib/launch/plan.ts, whose
 * types these fit).
 */
export type RootOperation =
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
  /** A directory whose files are to be seen with other ids than they have, by whatever mounts it afterwards. */
  | { readonly op: 'map-ids'; readonly path: string; readonly idMaps: IdMaps }
  /** What a keeper has mounted (see ../volumes/keeper.ts), put at an empty directory of the host. */
  | { readonly op: 'adopt'; readonly keeper: string; readonly target: string }
  /** A layer that is mounted from its file, before the root that stands on it, at an empty directory of the host. */
  | {
      readonly op: 'mount'
      readonly fstype: string
      readonly source: string
      readonly target: string
      readonly attributes: { readonly readOnly: true }
      readonly options: readonly string[]
    }

/**
 * Lines of uid_map and gid_map (user_namespaces(7)): an id on the disk, the id that it is seen as, and how many follow. The
 * host's own root is among those that are seen: it makes what an overlay has to itself.
 */
export interface IdMaps {
  readonly uid: string
  readonly gid: string
}

export interface RootOptions {
  /**
   * The file system may leave out all syncs of what the container writes (overlay's `volatile`): an fsync(2) in the
   * container costs nothing, and what it wrote is worth nothing after a crash of the machine. For containers that don't
   * outlive their host process. @default false
   */
  readonly volatile?: boolean
  /** What it writes has a quota: a write beyond that shall fail, and not only the flush of a cache. @default false */
  readonly limited?: boolean
  /**
   * The container has a user namespace, and sees the files as these say. On the disk they keep the ids that its image gives
   * them: nothing is copied for it, and what a container changes can be committed as it is. @default as they are
   */
  readonly idMaps?: IdMaps | undefined
  /**
   * The container has a user namespace, and the file system takes no `idMaps` of this user: its root is made of copies whose owners
   * are those that these give to the image's. What it writes has them, too. @default the image as it is
   */
  readonly owners?: IdMaps | undefined
}

/** How a root comes to stand where it shall. */
export interface RootMount {
  readonly operations: readonly RootOperation[]
  /** Descriptors that must stay open for as long as the root is used: for the container's monitor, or to be closed. */
  readonly held: readonly number[]
}

/** What a container has changed against its image. Disposing of it removes what was made to tell. */
export interface Changes extends AsyncDisposable {
  /**
   * A directory in the way of overlay's upper one (overlayfs of the kernel's documentation): what is new or other, a
   * device 0:0 for what is gone, `trusted.overlay.opaque` on directories that hide what is below, or that of the class
   * `user`. To be read only.
   */
  readonly upper: string
  /** Names of files in it, in whichever directory, that are the driver's own and no changes. @default none */
  readonly own?: readonly string[]
}

/**
 * A storage driver. It does no bookkeeping: whoever prepares a container keeps a reference to its layer until after
 * remove(), and knows which containers there are.
 */
export interface StorageDriver {
  readonly name: DriverName
  /**
   * Make what a container writes to. Without a layer the root is empty. Preparing again, after a crash, is no error and
   * keeps what is there.
   * @param owners as {@link RootOptions.owners}
   * @param project the quota project of all that it writes (../../sys/project-quota.ts); with vfs of its copy of the image, too
   */
  prepare(containerId: string, chainId: string | undefined, project?: number, owners?: IdMaps): Promise<void>
  /**
   * Where the root of a prepared container comes from.
   * @throws PodlingError STATE_INVALID when it isn't prepared; DRIVER_UNSUPPORTED when a program for it is gone, or
   * `idMaps` are more than it can do
   */
  mount(containerId: string, options?: RootOptions): Promise<RootMount>
  /** Where the root stands in the container's mount namespace until it becomes `/`; `root.path` of its OCI spec. */
  rootPath(containerId: string): string
  /**
   * What a prepared container has changed. While it runs this is a moment's view.
   * @param owners as it was prepared with
   * @throws PodlingError STATE_INVALID
   */
  changes(containerId: string, owners?: IdMaps): Promise<Changes>
  /** The containers that are prepared. */
  list(): Promise<string[]>
  /** Remove all that the container wrote, whatever it is. Nobody may have it mounted. 'Already gone' is success. */
  remove(containerId: string): Promise<void>
  /** Let go of what the driver keeps ready. Roots stay as they are. */
  close(): Promise<void>
}

/** What a driver needs of the layers. */
export interface DriverLayers {
  /** Where a layer and those below it are, topmost first. */
  lower(chainId: string): readonly string[]
  /** Owner and mode of the root that they make. */
  root(chainId: string): RootAttributes
}

/** The format of the layers that a driver works with. */
export type DriverFormat = LayerFormat['name']
