/** What the images of a runtime are made of, and what they tell. */
import type { ProgramSearch } from '../image/from-host/programs.js'
import type { ImagePolicy } from '../image/policy/image-policy.js'
import type { ContentStore } from './content.js'
import type { Database } from './database.js'
import type { Image } from './image.js'
import type { ImageLayers } from './image-store.js'
import type { LayerRules } from './layer-types.js'

/** What happened to an image. */
export interface ImageEvent {
  readonly type: 'pulled' | 'loaded' | 'imported' | 'committed' | 'tagged' | 'untagged' | 'removed'
  readonly id: string
  /** The names that it was about. */
  readonly names: readonly string[]
}

export interface ImagesParts {
  /** Where the lock of image work stands; made when missing. */
  readonly directory: string
  readonly database: Database
  readonly content: ContentStore
  readonly layers: ImageLayers
  /** The containers that use an image, by name or id. Asked within a transaction, so it must not wait. @default none */
  readonly users?: (image: Image) => readonly string[]
  readonly onEvent?: (event: ImageEvent) => void
  /** How layers are taken. @default as the layers do */
  readonly rules?: LayerRules
  /** Where {@link Images.fromHost} looks for programs. @default the standard directories */
  readonly programs?: ProgramSearch
  /** Mounts the root that ends with this layer, for {@link Images.mount}. */
  readonly mount?: (
    chainId: string | undefined,
  ) => Promise<{ readonly pid: number; readonly close: () => Promise<void> }>
  /** Which images may come in, and from where. @default all, from where their names say */
  readonly policy?: ImagePolicy
  /** Where credentials are looked for. @default those of podman and docker */
  readonly authFiles?: readonly string[]
}

/** An image that is mounted. Disposing of it (`await using`) unmounts it. */
export interface MountedImage extends AsyncDisposable {
  /**
   * Where it is, for programs of this host that may look into other processes. An absolute symbolic link in it leads to
   * the host's own files, as it does in any directory.
   */
  readonly path: string
  /** Unmounts it. Twice is no error. */
  unmount(): Promise<void>
}
