/** The shapes of `selinux` and `apparmor`, and what of them says nothing. */
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

export const apparmorSchema = {
  type: 'string',
  pattern: '^[!-~]+$',
  says: "'unconfined' or the name of a loaded profile",
} as const

export function labelFaults({ selinux = {}, apparmor = 'unconfined', privileged }: ContainerOptions): Fault[] {
  const faults: Fault[] = []
  if (selinux.disable === true) {
    for (const name of Object.keys(selinux).filter((one) => one !== 'disable'))
      faults.push({ path: `selinux.${name}`, message: 'has no effect with disable: true' })
  }
  if (privileged === true && apparmor !== 'unconfined')
    faults.push({ path: 'apparmor', message: 'has no effect with privileged: true; leave one of them out' })
  return faults
}
