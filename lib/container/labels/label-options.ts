/** The shape of `selinux`, and what of it says nothing. */
import type { Fault } from '../../schema/faults.js'
import type { ContainerOptions } from '../options.js'

const word = { type: 'string', pattern: '^[A-Za-z0-9_.]+$', says: "a name of the policy such as 'container_t'" }
const category = String.raw`c\d{1,4}([.]c\d{1,4})?`
const level = String.raw`s\d{1,2}(:${category}(,${category})*)?`

export const selinuxSchema = {
  type: 'object',
  member: 'property of selinux',
  additionalProperties: false,
  properties: {
    user: word,
    role: word,
    type: word,
    fileType: word,
    level: { type: 'string', pattern: `^${level}(-${level})?$`, says: "a level such as 's0:c100,c200'" },
    disable: { type: 'boolean' },
  },
} as const

export function labelFaults({ selinux = {} }: ContainerOptions): Fault[] {
  if (selinux.disable !== true) return []
  return Object.keys(selinux)
    .filter((name) => name !== 'disable')
    .map((name) => ({ path: `selinux.${name}`, message: 'has no effect with disable: true' }))
}
