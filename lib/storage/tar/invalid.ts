import { PodlingError } from '../../errors.js'
import { displayName } from './entry.js'

/** The error for a tar that can't be what it claims. `offset` counts uncompressed bytes. */
export function invalidTar(why: string, offset: number, name?: string): PodlingError {
  const where = name === undefined || name === '' ? '' : ` (entry ${displayName(name)})`
  return new PodlingError('LAYER_INVALID', `invalid tar at offset ${String(offset)}${where}: ${why}`)
}
