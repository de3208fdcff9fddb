import { PodlingError } from '../../errors.js'

/**
 * An id as the name of a directory.
 * @param ownNames what else stands beside the containers
 * @throws PodlingError INVALID_OPTION
 */
export function checkedId(containerId: string, ownNames: ReadonlySet<string>): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId) && !ownNames.has(containerId)) return containerId
  throw new PodlingError('INVALID_OPTION', `${JSON.stringify(containerId)} can't be the id of a container`)
}
