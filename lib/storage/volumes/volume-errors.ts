/** What can be wrong with a volume that is asked for. Pure. */
import { PodlingError } from '../../errors.js'
import { nearestName } from '../../schema/nearest-name.js'

export function notFound(name: string, volumes: readonly { readonly name: string }[]): PodlingError {
  const near = nearestName(
    name,
    volumes.map((other) => other.name),
  )
  return new PodlingError(
    'VOLUME_NOT_FOUND',
    `find volume ${name}: this root has no volume of this name${near === undefined ? '' : `; did you mean ${near}?`}`,
  )
}

export function alreadyThere(name: string): PodlingError {
  return new PodlingError(
    'VOLUME_EXISTS',
    `create volume ${name}: there is one of this name; use it, remove it first, or choose another name`,
  )
}

export function goesAway(name: string): PodlingError {
  return new PodlingError(
    'VOLUME_NOT_FOUND',
    `use volume ${name}: it is being made or removed by somebody else; try again`,
  )
}

export function inUse(name: string, users: readonly string[]): PodlingError {
  const some = users.slice(0, 5).map((id) => id.slice(0, 12))
  const more = users.length > 5 ? ` and ${String(users.length - 5)} more` : ''
  return new PodlingError(
    'VOLUME_IN_USE',
    `remove volume ${name}: container ${some.join(', ')}${more} ${users.length === 1 ? 'uses' : 'use'} it; remove ` +
      `${users.length === 1 ? 'that one' : 'these'} first, or use force`,
  )
}
