/** The rules of this machine about images, read anew each time that they are asked for. */
import { readdir, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { PodlingError } from '../../errors.js'
import { formatReference, parseReference, repositoryName, type Reference } from '../reference.js'
import { checkBlocked, meanings, pullSources, ruleFor, type PullSource } from './pull-sources.js'
import { addRegistriesFile, noRegistriesConfig, type RegistriesConfig } from './registries.js'
import { admit, parseSignaturePolicy, pathScopes, registryScopes, type Transport } from './signature-policy.js'

export interface PolicyFiles {
  /** A policy.json; undefined, or a file that isn't there: all is let in. */
  readonly policy?: string | undefined
  /** A registries.conf, with the `*.conf` of the directory of its name with `.d`; undefined, or not there: no rules. */
  readonly registries?: string | undefined
}

/** Where a name leads. */
export interface Meaning {
  readonly reference: Reference
  readonly sources: readonly PullSource[]
}

export class ImagePolicy {
  readonly #files: PolicyFiles

  constructor(files: PolicyFiles) {
    this.#files = files
  }

  /**
   * What a name means and where to get it: one meaning, or several to be tried in turn.
   * @throws {PodlingError} INVALID_REFERENCE, IMAGE_FORBIDDEN, POLICY_INVALID
   */
  async forPull(text: string): Promise<Meaning[]> {
    const config = await this.#registries()
    const found = meanings(text, config).map((reference) => ({ reference, sources: pullSources(reference, config) }))
    for (const { reference } of found) {
      await this.#admit(
        'docker',
        registryScopes(repositoryName(reference), formatReference(reference)),
        formatReference(reference),
      )
    }
    return found
  }

  /** Whether a push to this name may be plain http. @throws {PodlingError} IMAGE_FORBIDDEN, POLICY_INVALID */
  async forPush(name: string): Promise<{ readonly insecure: boolean | undefined }> {
    const reference = parseReference(name)
    const rule = ruleFor(reference, await this.#registries())
    checkBlocked(reference, rule)
    return { insecure: rule?.insecure ? true : undefined }
  }

  /** Who is asked for credentials; undefined: the auth files alone. @throws {PodlingError} POLICY_INVALID */
  async credentialHelpers(): Promise<readonly string[] | undefined> {
    return (await this.#registries()).credentialHelpers
  }

  /** Let an archive or a directory in. @param path undefined for a stream @throws {PodlingError} IMAGE_FORBIDDEN, POLICY_INVALID */
  async forLoad(transport: Transport, path: string | undefined): Promise<void> {
    await this.#admit(transport, path === undefined ? [] : pathScopes(resolve(path)), path ?? 'a stream')
  }

  /** The full names that a short one may have here. */
  async names(text: string): Promise<string[]> {
    const config = await this.#registries()
    return meanings(text, { ...config, shortNames: 'permissive' }).map(formatReference)
  }

  async #admit(transport: Transport, scopes: readonly string[], image: string): Promise<void> {
    const { policy: path } = this.#files
    const bytes = path === undefined ? undefined : await readIfThere(path)
    if (bytes !== undefined) admit(parseSignaturePolicy(bytes, path!), transport, scopes, image)
  }

  async #registries(): Promise<RegistriesConfig> {
    const { registries: path } = this.#files
    if (path === undefined) return noRegistriesConfig
    const further = await namesIn(`${path}.d`)
    let config = noRegistriesConfig
    for (const file of [path, ...further.map((name) => `${path}.d/${name}`)]) {
      const bytes = await readIfThere(file)
      if (bytes !== undefined) config = addRegistriesFile(config, bytes.toString(), file)
    }
    return config
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => name.endsWith('.conf')).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw unreadable(directory, error)
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw unreadable(path, error)
  }
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
}

/** A rule that can't be read might forbid what is asked for. */
function unreadable(path: string, cause: unknown): PodlingError {
  const errno = (cause as NodeJS.ErrnoException).code
  return new PodlingError('POLICY_INVALID', `read ${path}: ${errno ?? String(cause)}`, { cause, path })
}
