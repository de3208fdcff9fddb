import type { IdMapping } from './id-maps.js'

/** `userns` as an object. */
export type UserNamespaceOption =
  | { readonly mode: 'host' | 'nomap' }
  | {
      /** That of another container, which must run when this one starts. */
      readonly mode: 'container'
      /** Its name or id. */
      readonly container: string
    }
  | {
      /** Ids of its own, which no other container of the root has. */
      readonly mode: 'auto'
      /** How many. @default what the image needs, 1024 at least and 65536 at most */
      readonly size?: number
      /** Users that shall be those of the host; the others have ids of its own. @default none */
      readonly uidMapping?: readonly IdMapping[]
      /** The same of groups. */
      readonly gidMapping?: readonly IdMapping[]
    }
  | {
      /** The user of this process is somebody in it. */
      readonly mode: 'keep-id'
      /** Who. @default the same id */
      readonly uid?: number
      readonly gid?: number
      /** How many ids of his ranges there are beside him. @default all */
      readonly size?: number
    }

/** A map as a text, `'0:100000:65536'`: id in the container, id of the host, and how many follow (1). */
export type IdMappingOption = string | IdMapping
