/** The init of a container that is to have one. Pure. */
import type { Spec } from '../oci-spec.js'
import type { Operation } from '../operation.js'
import { isEmptyDev } from './mounts.js'

/** As with Docker and Podman in a directory of the runtime's, where no image has anything of this name. */
const path = '/dev/podling-init'

/** Whether /dev is the container's own: what is written to one that comes from the host is there for all. */
function hasOwnDev({ mounts = [] }: Spec): boolean {
  const dev = mounts.filter(({ destination }) => /^\/dev\/?$/.test(destination)).at(-1)
  return dev !== undefined && isEmptyDev(dev)
}

export function placeInit(spec: Spec): Operation[] {
  return hasOwnDev(spec) ? [{ op: 'place-init', path }] : []
}

export function initOperation(spec: Spec): Operation {
  return { op: 'init', ...(hasOwnDev(spec) ? { program: path } : {}) }
}
