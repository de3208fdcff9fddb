/** A spec sets kernel parameters of namespaces that are the container's, and none of the host's (config-linux.md, "Sysctl"). */
import { isSysctlName, sysctlNamespace } from '../container/sysctls.js'
import type { Spec } from '../launch/oci-spec.js'
import { isOwnNamespace } from './namespace-identity.js'
import { OciError } from './oci-error.js'

/** @throws OciError for the first that is not */
export function refuseSysctls({ linux = {} }: Spec): void {
  for (const key of Object.keys(linux.sysctl ?? {})) {
    const name = JSON.stringify(key)
    if (key === 'kernel.hostname') throw new OciError(`sysctl ${name} is not allowed: use the property hostname`)
    // Other names may lead out of what they begin with.
    const type = isSysctlName(key) ? sysctlNamespace(key) : undefined
    if (type === undefined) throw new OciError(`sysctl ${name} is not in a separate kernel namespace`)
    const namespace = (linux.namespaces ?? []).find((one) => one.type === type)
    if (namespace !== undefined && !isOwnNamespace(namespace)) continue
    throw new OciError(`sysctl ${name} is not allowed in the ${type} namespace of the host: give the container its own`)
  }
}
