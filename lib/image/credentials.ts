/**
 * Who we are to a registry: from the caller, or from the files that `podman login` and `docker login` write
 * (containers-auth.json(5)).
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../errors.js'
import { askCredentialHelper } from './credential-helper.js'
import { parseJson, type JsonReader } from './json.js'
import type { Credentials } from './registry-auth.js'

/** Where the environment says that auth files and helper programs are. */
export interface AuthEnvironment {
  readonly REGISTRY_AUTH_FILE?: string | undefined
  readonly XDG_RUNTIME_DIR?: string | undefined
  readonly XDG_CONFIG_HOME?: string | undefined
  readonly DOCKER_CONFIG?: string | undefined
  readonly HOME?: string | undefined
}

/**
 * The auth files to look into, the first that knows a registry wins. With REGISTRY_AUTH_FILE, that one alone.
 * The only place of lib/image that reads the environment.
 */
export function defaultAuthFiles(environment: AuthEnvironment = process.env, uid = process.getuid?.() ?? 0): string[] {
  const { REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG, HOME } = environment
  if (REGISTRY_AUTH_FILE) return [REGISTRY_AUTH_FILE]
  const files = [
    join(XDG_RUNTIME_DIR || `/run/containers/${String(uid)}`, XDG_RUNTIME_DIR ? 'containers/auth.json' : 'auth.json'),
  ]
  const config = XDG_CONFIG_HOME || (HOME && join(HOME, '.config'))
  if (config) files.push(join(config, 'containers/auth.json'))
  const docker = DOCKER_CONFIG || (HOME && join(HOME, '.docker'))
  if (docker) files.push(join(docker, 'config.json'))
  return files
}

/** What stands for the auth files among the helpers of a registries.conf (containers-registries.conf(5)). */
const authFilesHelper = 'containers-auth.json'

/**
 * Look up the credentials for a repository. A file that is not there is passed over.
 * @param helpers who is asked, the first that knows wins; one that fails is told of when no other one knows
 * @throws {PodlingError} CREDENTIALS_INVALID for a file or helper that can't be used
 */
export async function findCredentials(
  files: readonly string[],
  registry: string,
  repository: string,
  signal?: AbortSignal,
  helpers: readonly string[] = [authFilesHelper],
): Promise<Credentials | undefined> {
  let failure: unknown
  for (const helper of helpers) {
    try {
      const found =
        helper === authFilesHelper
          ? await lookInFiles(files, registry, repository, signal)
          : await askFor(helper, registry, signal)
      if (found) return found
    } catch (error) {
      if (signal?.aborted) throw error
      failure ??= error
    }
  }
  if (failure !== undefined) throw failure as Error
  return undefined
}

async function askFor(
  helper: string,
  registry: string,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  for (const key of helperKeys(registry)) {
    const found = await askCredentialHelper(helper, key, signal)
    if (found) return found
  }
  return undefined
}

async function lookInFiles(
  files: readonly string[],
  registry: string,
  repository: string,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  for (const file of files) {
    const found = await lookIn(file, registry, repository, signal)
    if (found) return found
  }
  return undefined
}

async function lookIn(
  file: string,
  registry: string,
  repository: string,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined
    throw new PodlingError('CREDENTIALS_INVALID', `read the auth file ${file}: ${String(errno)}`, { cause, path: file })
  }
  const document = parseJson(bytes, `auth file ${file}`, 'CREDENTIALS_INVALID')
  for (const key of helperKeys(registry)) {
    const helper = document.get('credHelpers').present
      ? document.get('credHelpers').get(key).optionalString()
      : undefined
    if (helper !== undefined) return askCredentialHelper(helper, key, signal)
  }
  const entry = findEntry(document.get('auths'), registry, repository)
  const inFile = entry && readEntry(entry)
  if (inFile) return inFile
  const store = document.get('credsStore').optionalString()
  return store === undefined ? undefined : askFor(store, registry, signal)
}

/** Docker Hub's name in Docker's own files is a URL. */
function helperKeys(registry: string): string[] {
  return registry === 'docker.io' ? ['docker.io', 'https://index.docker.io/v1/'] : [registry]
}

/** The entry with the longest key that covers the repository: `host/org/app`, `host/org`, `host`. */
function findEntry(auths: JsonReader, registry: string, repository: string): JsonReader | undefined {
  const wanted = `${registry}/${repository}`
  let best: JsonReader | undefined
  let bestLength = -1
  for (const [key, reader] of auths.entries()) {
    const name = normalizeKey(key)
    if ((wanted === name || wanted.startsWith(`${name}/`)) && name.length > bestLength) {
      best = reader
      bestLength = name.length
    }
  }
  return best
}

function normalizeKey(key: string): string {
  const bare = key.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '')
  return bare.replace(/^(index|registry-1)\.docker\.io(?=\/|$)/, 'docker.io')
}

function readEntry(entry: JsonReader): Credentials | undefined {
  const identityToken = entry.get('identitytoken').optionalString()
  if (identityToken !== undefined) return { identityToken }
  const token = entry.get('registrytoken').optionalString()
  if (token !== undefined) return { token }
  const username = entry.get('username').optionalString()
  const password = entry.get('password').optionalString()
  if (username !== undefined && password !== undefined) return { username, password }
  const auth = entry.get('auth').optionalString()
  // Docker leaves an empty entry where a credential store holds the secret.
  if (auth === undefined) return undefined
  const decoded = Buffer.from(auth, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon < 1) return entry.get('auth').fail('must be base64 of username:password')
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') }
}
