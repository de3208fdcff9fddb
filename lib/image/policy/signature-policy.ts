/** Which images may come in, by where they come from (containers-policy.json(5)). Pure. */
import { PodlingError } from '../../errors.js'
import { parseJson, type JsonReader } from '../json.js'

/** Where an image comes from: the words of containers-transports(5). */
export type Transport = 'docker' | 'docker-archive' | 'oci-archive' | 'oci'

type RequirementType = 'insecureAcceptAnything' | 'reject' | 'signedBy' | 'sigstoreSigned' | 'signedBaseLayer'

export interface SignaturePolicy {
  readonly what: string
  readonly default: readonly RequirementType[]
  /** By transport, then by scope; '' is the transport's own default. */
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, readonly RequirementType[]>>
}

const known: ReadonlySet<string> = new Set<RequirementType>([
  'insecureAcceptAnything', 'reject', 'signedBy', 'sigstoreSigned', 'signedBaseLayer',
]) // prettier-ignore

/** @throws {PodlingError} POLICY_INVALID, which names the place: what isn't understood is never passed over */
export function parseSignaturePolicy(bytes: Uint8Array, what: string): SignaturePolicy {
  const document = parseJson(bytes, what, 'POLICY_INVALID')
  document.only(['default', 'transports'])
  const transports = document.get('transports').entries()
  return {
    what,
    default: readRequirements(document.get('default')),
    transports: new Map(
      transports.map(([transport, scopes]) => [
        transport,
        new Map(scopes.entries().map(([scope, requirements]) => [scope, readRequirements(requirements)])),
      ]),
    ),
  }
}

function readRequirements(reader: JsonReader): RequirementType[] {
  const requirements = reader.list().map((requirement) => {
    const type = requirement.get('type')
    const text = type.string()
    return known.has(text)
      ? (text as RequirementType)
      : type.fail(`${JSON.stringify(text)} is no requirement that is known`)
  })
  return requirements.length > 0 ? requirements : reader.fail('must be a list of at least one requirement')
}

/**
 * Let an image in, or not.
 * @param scopes its own names, the narrowest first: of a registry `host/repo:tag`, `host/repo`, `host`
 * @throws {PodlingError} IMAGE_FORBIDDEN
 */
export function admit(policy: SignaturePolicy, transport: Transport, scopes: readonly string[], image: string): void {
  const rules = policy.transports.get(transport)
  const scope = [...scopes, ''].find((one) => rules?.has(one))
  const requirements = (scope === undefined ? undefined : rules?.get(scope)) ?? policy.default
  const where = scope === undefined ? 'its default' : `${transport}:${scope}`
  for (const type of requirements) {
    if (type === 'insecureAcceptAnything') continue
    const why =
      type === 'reject'
        ? `${where} rejects it`
        : `${where} wants a signature (${type}), which Podling can't verify yet, so that nothing is let in by it`
    throw new PodlingError('IMAGE_FORBIDDEN', `take ${image}: by ${policy.what} ${why}; change the policy to allow it`)
  }
}

/** The scopes of a name in a registry: the whole of it, its repository and what that is in, its registry, wildcards for its domains. */
export function registryScopes(repository: string, full: string): string[] {
  const parts = repository.split('/')
  const paths = parts.map((_, index) => parts.slice(0, parts.length - index).join('/'))
  const host = (parts[0] ?? '').replace(/:\d+$/, '')
  const labels = host.split('.')
  const wildcards = labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)
  return [full, ...paths, ...wildcards]
}

/** The scopes of a path: itself and every directory above it. */
export function pathScopes(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '')
  return parts.map((_, index) => `/${parts.slice(0, parts.length - index).join('/')}`)
}
