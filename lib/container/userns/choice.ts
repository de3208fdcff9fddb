import type { IdMapping } from './id-maps.js'

/** The user namespace that a container or pod is to have, in one form. Undefined: that of the runtime. */
export type UserNamespaceChoice =
  | {
      readonly mode: 'auto'
      readonly size: number | undefined
      readonly uidMapping: readonly IdMapping[]
      readonly gidMapping: readonly IdMapping[]
    }
  | {
      readonly mode: 'keep-id'
      readonly uid: number | undefined
      readonly gid: number | undefined
      readonly size: number | undefined
    }
  | { readonly mode: 'nomap' }
  /** That of another container, by its name or id. */
  | { readonly mode: 'container'; readonly container: string }
  /** That of its pod. */
  | { readonly mode: 'pod' }
  | { readonly mode: 'private'; readonly uids: readonly IdMapping[]; readonly gids: readonly IdMapping[] }

/** Who the user of this process is in a container. */
export interface KeptUser {
  readonly uid: number
  readonly gid: number
}
