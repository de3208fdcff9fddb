/** Names that a network may have. */
import { show } from '../schema/faults.js'

export const networkNameSchema = {
  type: 'string',
  pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$',
  maxLength: 128,
  says: 'letters, digits, _, . and -',
}

/** Words that `network` of a container has a meaning of its own for. */
const reserved = ['none', 'host', 'bridge', 'private', 'pod', 'pasta', 'slirp4netns', 'default', '.', '..']

/** @returns what is wrong with a name that fits the schema */
export function networkNameFault(name: string): string | undefined {
  if (!reserved.includes(name))
    return name.length > 128 ? `must have at most 128 characters, got ${show(name)}` : undefined
  return `must not be ${show(name)}, which has a meaning of its own`
}
