/** The option `imagePolicy` of a runtime. Pure. */
import type { PolicyFiles } from '../image/policy/image-policy.js'
import { show } from '../schema/faults.js'

/** Where the rules about images stand. They are read anew for each image; a file that isn't there has none. */
export interface ImagePolicyOptions {
  /**
   * What may be pulled and loaded (containers-policy.json(5)). Signatures can't be verified yet: what wants one is refused.
   * False: everything may. @default '/etc/containers/policy.json'
   */
  readonly policy?: string | false
  /**
   * Mirrors, blocked and insecure registries, short names (containers-registries.conf(5), version 2), with the `*.conf` of
   * the directory of its name with `.d`. False: there are none. @default '/etc/containers/registries.conf'
   */
  readonly registries?: string | false
}

const defaults = { policy: '/etc/containers/policy.json', registries: '/etc/containers/registries.conf' } as const

/** What is wrong with them, each with its path. */
export function imagePolicyFaults(given: unknown): string[] {
  if (typeof given !== 'object' || given === null) return [`imagePolicy: must be an object, got ${show(given)}`]
  return Object.entries(given).flatMap(([name, value]: [string, unknown]) => {
    if (!Object.hasOwn(defaults, name)) {
      return [`imagePolicy.${name}: unknown option; there are ${Object.keys(defaults).join(', ')}`]
    }
    if (value === undefined || value === false) return []
    const isPath = typeof value === 'string' && value.startsWith('/') && !value.includes('\0')
    return isPath ? [] : [`imagePolicy.${name}: must be an absolute path, or false, got ${show(value)}`]
  })
}

/** Of options that have no faults. */
export function policyFiles({
  policy = defaults.policy,
  registries = defaults.registries,
}: ImagePolicyOptions): PolicyFiles {
  return {
    ...(policy === false ? {} : { policy }),
    ...(registries === false ? {} : { registries }),
  }
}
