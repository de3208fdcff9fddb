/** What is read from one registry (OCI distribution spec 1.1, "Pull"; Docker registry HTTP API V2). */
import { PodlingError } from '../errors.js'
import { sha256 } from './digest.js'
import { TooLargeError, type HttpResponse } from './http.js'
import { maxDocumentBytes } from './json.js'
import { acceptedManifests } from './media-types.js'
import { RegistrySession, type RegistryOptions } from './registry-session.js'

export type { RegistryOptions } from './registry-session.js'

export interface RegistryManifest {
  readonly bytes: Buffer
  readonly digest: string
  /** As `Content-Type` says. */
  readonly mediaType: string | undefined
}

export interface RegistryBlob {
  /** The first byte that `chunks` has; 0 when the registry took no notice of the range. No chunks: the blob ends before. */
  readonly start: number
  readonly chunks: AsyncIterable<Buffer>
}

export class RegistryClient {
  readonly #session: RegistrySession

  constructor(registry: string, options: RegistryOptions = {}) {
    this.#session = new RegistrySession(registry, options)
  }

  /** As references name it: `localhost:5000`, `docker.io`. */
  get registry(): string {
    return this.#session.registry
  }

  /**
   * Fetch a manifest or index by tag or digest; what comes is verified against the digest, asked for or announced.
   * @throws {PodlingError} IMAGE_NOT_FOUND, REGISTRY_*, DIGEST_MISMATCH, IMAGE_INVALID when it is larger than 4 MiB, ABORTED
   */
  async manifest(repository: string, reference: string, signal?: AbortSignal): Promise<RegistryManifest> {
    const byDigest = reference.includes(':')
    const name = `${this.registry}/${repository}${byDigest ? '@' : ':'}${reference}`
    const what = `pull the manifest of ${name}`
    return this.#session.retry(what, signal, async () => {
      const response = await this.#session.send({
        method: 'GET',
        repository,
        path: `manifests/${reference}`,
        what,
        headers: { Accept: acceptedManifests },
        signal,
      })
      if (response.status !== 200) throw await this.#session.refusal(response, what)
      const bytes = await readDocument(response, what)
      const digest = sha256(bytes)
      const announced = response.headers['docker-content-digest']
      const expected = byDigest ? reference : announced
      if (typeof expected === 'string' && expected.startsWith('sha256:') && expected !== digest) {
        throw new PodlingError('DIGEST_MISMATCH', `${what}: expected ${expected}, but what came has ${digest}`)
      }
      return { bytes, digest, mediaType: response.headers['content-type'] }
    })
  }

  /**
   * Begin to fetch a blob from a byte on. The stream is neither verified nor resumed here.
   * @throws {PodlingError} as {@link manifest}; what breaks while the chunks are read is thrown raw
   */
  async blob(repository: string, digest: string, start = 0, signal?: AbortSignal): Promise<RegistryBlob> {
    const what = `pull the blob ${digest} of ${this.registry}/${repository}`
    return this.#session.retry(what, signal, async () => {
      const response = await this.#session.send({
        method: 'GET',
        repository,
        path: `blobs/${digest}`,
        what,
        // A proxy that gzips "for us" would change the bytes.
        headers: { 'Accept-Encoding': 'identity', ...(start > 0 ? { Range: `bytes=${String(start)}-` } : {}) },
        signal,
      })
      if (response.status === 200) return { start: 0, chunks: response.body }
      if (response.status === 416) {
        response.discard()
        return { start, chunks: nothing() }
      }
      if (response.status !== 206) throw await this.#session.refusal(response, what)
      const range = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')
      if (Number(range?.[1]) === start) return { start, chunks: response.body }
      response.discard()
      throw new PodlingError(
        'REGISTRY_FAILED',
        `${what}: asked for bytes from ${String(start)} on, got ${response.headers['content-range'] ?? 'no Content-Range'}`,
      )
    })
  }

  /** Whether the registry has a manifest. */
  async hasManifest(repository: string, reference: string, signal?: AbortSignal): Promise<boolean> {
    const what = `look for ${this.registry}/${repository} ${reference}`
    return this.#session.retry(what, signal, async () => {
      const headers = { Accept: acceptedManifests }
      const response = await this.#session.send({
        method: 'HEAD',
        repository,
        path: `manifests/${reference}`,
        what,
        headers,
        signal,
      })
      if (response.status !== 200 && response.status !== 404) throw await this.#session.refusal(response, what)
      response.discard()
      return response.status === 200
    })
  }

  /** Turn a failure in the midst of a body into the typed error. */
  failure(what: string, error: unknown, signal?: AbortSignal): PodlingError {
    return this.#session.failure(what, error, signal)
  }

  close(): void {
    this.#session.close()
  }
}

async function* nothing(): AsyncGenerator<Buffer> {
  // No bytes.
}

async function readDocument(response: HttpResponse, what: string): Promise<Buffer> {
  try {
    return await response.bytes(maxDocumentBytes)
  } catch (error) {
    if (!(error instanceof TooLargeError)) throw error
    throw new PodlingError('IMAGE_INVALID', `${what}: it is larger than ${String(maxDocumentBytes)} bytes`, {
      cause: error,
    })
  }
}
