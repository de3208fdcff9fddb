/** How the verbs of {@link Images} reach a registry: whose credentials, whose certificates. */
import { certificateDirectories, findAuthorities } from '../image/authorities.js'
import { defaultAuthFiles, findCredentials } from '../image/credentials.js'
import type { ImagePolicy } from '../image/policy/image-policy.js'
import type { RegistryAuth } from '../image/registry-auth.js'
import type { RegistryOptions } from '../image/registry-session.js'

export interface RegistryAccess {
  readonly insecure?: boolean | undefined
  readonly auth?: RegistryAuth | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * @param policy knows whether helper programs are asked, too
 * @param authFiles where credentials are looked for. @default those of podman and docker
 */
export async function registryOptions(
  registry: string,
  { insecure, auth, signal }: RegistryAccess,
  policy: Pick<ImagePolicy, 'credentialHelpers'>,
  authFiles: readonly string[] = defaultAuthFiles(),
): Promise<RegistryOptions> {
  return {
    ...(insecure === undefined ? {} : { insecure }),
    credentials: async (repository) =>
      auth ?? (await findCredentials(authFiles, registry, repository, signal, await policy.credentialHelpers())),
    authorities: await findAuthorities(certificateDirectories, registry),
  }
}
