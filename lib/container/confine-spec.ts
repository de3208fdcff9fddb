/**
 * What a spec has to be like where containers are in another user namespace than the machine's first: there the kernel keeps
 * some of what a runtime does as root to itself, and what crun and Podman do in its place is done here. Pure.
 */
import type { Spec, SpecMount } from '../launch/oci-spec.js'

/** The user namespace that all containers are in. */
export interface Confinement {
  /** How many users and groups there are, from 0 on. */
  readonly uids: number
  readonly gids: number
  /** Whether groups can be given up and taken (`/proc/PID/setgroups` of user_namespaces(7)). */
  readonly setsGroups: boolean
  /** Whether the host has its POSIX message queues mounted, for who shares them (mq_overview(7)). */
  readonly mqueue: boolean
  /** The ordinary user who is 0 in it; absent: it is root's. */
  readonly caller?: { readonly uid: number; readonly gid: number }
}

/** The group that terminals belong to. */
const tty = 5

export function confineSpec(spec: Spec, { gids, mqueue }: Confinement): Spec {
  const own = new Set((spec.linux?.namespaces ?? []).map(({ type }) => type))
  const mounts = (spec.mounts ?? []).flatMap((mount): SpecMount | SpecMount[] => {
    switch (mount.type) {
      // Mounted anew they are those of a namespace, by whoever has rights over that one; the host's are bound.
      case 'proc':
        return own.has('pid') ? mount : bound(mount, '/proc')
      case 'sysfs':
        return own.has('network') ? mount : bound(mount, '/sys')
      case 'mqueue':
        if (own.has('ipc')) return mount
        return mqueue ? bound(mount, '/dev/mqueue') : []
      case 'devpts':
        return gids > tty
          ? mount
          : { ...mount, options: mount.options?.filter((one) => one !== `gid=${String(tty)}`) ?? [] }
      default:
        return mount
    }
  })
  return { ...spec, mounts }
}

/** With all that is mounted below: the kernel doesn't let it be parted from that, which it may have to hide something. */
function bound({ destination, options = [] }: SpecMount, source: string): SpecMount {
  return { destination, type: 'bind', source, options: ['rbind', 'rslave', ...options.filter((one) => one !== 'rw')] }
}
