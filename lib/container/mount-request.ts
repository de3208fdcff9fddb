/** A mount as the options ask for it: what the OCI spec says of it, and what that has no words for. Pure. */
import type { SpecMount } from '../launch/oci-spec.js'

/** Whose files are to be, to SELinux: this container's alone, or those of all containers. */
export type Relabel = 'private' | 'shared'

/** What the spec has no words for. */
export interface MountExtras {
  /** It is a volume: where its data is, is still to be found. Without a name it is the container's own. */
  readonly volume?: {
    readonly name?: string
    /** At its first use it begins with what the image has there. */
    readonly copy: boolean
  }
  /** It is an image, by its name or id. */
  readonly image?: string
  /** A path inside of the source. */
  readonly subpath?: string
  /** SELinux is to call it as what this container has, or as what all have (`:Z`, `:z`). */
  readonly relabel?: Relabel
  /** Its files are mapped as the container's ids are, or its maps lead to ids of the container. */
  readonly idmap?: 'container' | 'relative'
  /** All of it is given to the container's user (`:U`). */
  readonly chown?: boolean
}

export interface MountRequest extends SpecMount {
  readonly extras?: MountExtras
}

/** What a container's record keeps of a mount that is more than the spec says. */
export interface MountUse extends Omit<MountExtras, 'volume' | 'image'> {
  /** Which of the spec's mounts it is. */
  readonly destination: string
  readonly image?: MountedImageUse
  readonly volume?: {
    readonly name: string
    readonly anonymous: boolean
    readonly copy: boolean
  }
}

/** An image that a container has mounted. Its driver and its layers know it as a container of its own. */
export interface MountedImageUse {
  /** The container's id, `.image-` and a number. */
  readonly holder: string
  readonly id: string
  readonly chainId?: string
}

/** The container that a holder belongs to, which may be that container itself. */
export function holderOwner(holder: string): string {
  return holder.slice(0, 64)
}
