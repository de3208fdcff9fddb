import { PodlingError } from '../errors.js'
import { formatFaults, show, type Fault } from './faults.js'
import { nearestName } from './nearest-name.js'

/**
 * Refuse options that a verb doesn't have: most are misspelt ones, and what was meant would not be done.
 * @param what what the verb does, for the message: `stop a container`
 * @param known all options of the verb
 * @throws PodlingError `INVALID_OPTION` with every one
 */
export function checkKnown<T extends object>(what: string, options: T, known: Readonly<Record<keyof T, true>>): void {
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    throw new PodlingError('INVALID_OPTION', `${what}: the options must be an object, got ${show(given)}`)
  }
  const faults = Object.keys(options).flatMap((name): Fault[] => {
    if (Object.hasOwn(known, name)) return []
    const near = nearestName(name, Object.keys(known))
    return [{ path: name, message: `unknown option${near === undefined ? '' : `; did you mean ${near}?`}` }]
  })
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults(what, faults))
}
