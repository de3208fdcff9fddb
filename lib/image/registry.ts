/** A client for one registry (OCI distribution spec 1.1, "Pull"; Docker registry HTTP API V2). */
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { Authenticator } from './authenticate.js'
import type { Credentials } from './registry-auth.js'
import { sha256 } from './digest.js'
import { HttpClient, TooLargeError, type HttpResponse } from './http.js'
import { maxDocumentBytes } from './json.js'
import { acceptedManifests } from './media-types.js'
import { abortedError, throwIfAborted } from './progress.js'
import { isLoopback, splitRegistry } from './reference.js'
import { isNotTls, isPassing, networkError, registryMessage, retryAfter, statusError } from './registry-errors.js'

export interface RegistryOptions {
  /**
   * Allow plain http and unverified certificates for this registry; https is tried first.
   * @default true for a registry on loopback, else false
   */
  readonly insecure?: boolean
  /** The credentials for a repository, asked for when the registry wants some. @default none */
  readonly credentials?: (repository: string) => Promise<Credentials | undefined>
  /** Certificates of authorities (PEM) to trust beside the system's. */
  readonly authorities?: readonly string[]
  /** Milliseconds without a byte after which a connection has stalled. @default 30000 */
  readonly stallTimeout?: number
  /** Tries of one request, when what failed may pass. @default 5 */
  readonly attempts?: number
  /** Milliseconds before the second try, doubled for each further one. @default 250 */
  readonly retryDelay?: number
  /** The longest `Retry-After` that is waited for, in milliseconds. @default 60000 */
  readonly maxRetryAfter?: number
}

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

interface Request {
  readonly method: 'GET' | 'HEAD'
  readonly repository: string
  /** Below `/v2/<repository>/`. */
  readonly path: string
  readonly what: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

export class RegistryClient {
  /** As references name it: `localhost:5000`, `docker.io`. */
  readonly registry: string
  readonly #options: RegistryOptions
  readonly #insecure: boolean
  readonly #http: HttpClient
  readonly #authenticator: Authenticator
  #base: Promise<string> | undefined

  constructor(registry: string, options: RegistryOptions = {}) {
    this.registry = registry
    this.#options = options
    this.#insecure = options.insecure ?? isLoopback(registry)
    const insecure = (host: string): boolean => this.#insecure && sameMachine(host, registry)
    this.#http = new HttpClient({
      insecure,
      authorities: (host) => (host === this.#host ? (options.authorities ?? []) : []),
      stallTimeout: options.stallTimeout ?? 30_000,
    })
    this.#authenticator = new Authenticator({
      http: this.#http,
      host: registry,
      insecure,
      credentials: options.credentials ?? (() => Promise.resolve(undefined)),
    })
  }

  /** Docker Hub's API lives on another host than its name says. */
  get #host(): string {
    return this.registry === 'docker.io' ? 'registry-1.docker.io' : this.registry
  }

  /**
   * Fetch a manifest or index by tag or digest; what comes is verified against the digest, asked for or announced.
   * @throws {PodlingError} IMAGE_NOT_FOUND, REGISTRY_*, DIGEST_MISMATCH, IMAGE_INVALID when it is larger than 4 MiB, ABORTED
   */
  async manifest(repository: string, reference: string, signal?: AbortSignal): Promise<RegistryManifest> {
    const byDigest = reference.includes(':')
    const name = `${this.registry}/${repository}${byDigest ? '@' : ':'}${reference}`
    const what = `pull the manifest of ${name}`
    return this.#retry(what, signal, async () => {
      const response = await this.#send({
        method: 'GET',
        repository,
        path: `manifests/${reference}`,
        what,
        headers: { Accept: acceptedManifests },
        signal,
      })
      if (response.status !== 200) throw await this.#refusal(response, what)
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
    return this.#retry(what, signal, async () => {
      const response = await this.#send({
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
      if (response.status !== 206) throw await this.#refusal(response, what)
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
    return this.#retry(what, signal, async () => {
      const headers = { Accept: acceptedManifests }
      const response = await this.#send({
        method: 'HEAD',
        repository,
        path: `manifests/${reference}`,
        what,
        headers,
        signal,
      })
      if (response.status !== 200 && response.status !== 404) throw await this.#refusal(response, what)
      response.discard()
      return response.status === 200
    })
  }

  /** Turn a failure in the midst of a body into the typed error. */
  failure(what: string, error: unknown, signal?: AbortSignal): PodlingError {
    if (error instanceof PodlingError) return error
    return signal?.aborted ? abortedError(what, signal) : networkError(what, this.registry, error)
  }

  close(): void {
    this.#http.close()
  }

  /** One request, its challenge answered. Answers other than 401 are the caller's business. */
  async #send(request: Request): Promise<HttpResponse> {
    const { method, repository, what, signal } = request
    this.#base ??= this.#probe(signal)
    let base: string
    try {
      base = await this.#base
    } catch (error) {
      this.#base = undefined
      throw error
    }
    const url = new URL(`${base}/v2/${repository}/${request.path}`)
    let authorization = this.#authenticator.header(repository)
    // Two answers: one for a token that has expired meanwhile, one for the challenge proper.
    for (let answers = 0; ; answers += 1) {
      const headers = { ...request.headers, ...(authorization === undefined ? {} : { Authorization: authorization }) }
      const response = await this.#http.send({ method, url, headers, signal })
      if (response.status !== 401) return response
      response.discard()
      const next =
        answers === 2 ? undefined : await this.#authenticator.answer(repository, response, authorization, signal)
      if (next === undefined) throw this.#unauthorized(what, authorization !== undefined)
      authorization = next
    }
  }

  #unauthorized(what: string, tried: boolean): PodlingError {
    const remedy = tried
      ? 'the credentials were refused; check them'
      : `log in with \`podman login ${this.registry}\` or pass auth: { username, password }`
    return new PodlingError(
      'REGISTRY_UNAUTHORIZED',
      `${what}: ${this.registry} wants a login (401), or has no such image; ${remedy}`,
    )
  }

  /** https, or http for an insecure registry that does not speak TLS. */
  async #probe(signal: AbortSignal | undefined): Promise<string> {
    const secure = `https://${this.#host}`
    if (!this.#insecure) return secure
    try {
      const response = await this.#http.send({ method: 'GET', url: new URL(`${secure}/v2/`), signal })
      response.discard()
      return secure
    } catch (error) {
      if (signal?.aborted || !isNotTls(error)) throw error
    }
    const plain = `http://${this.#host}`
    const response = await this.#http.send({ method: 'GET', url: new URL(`${plain}/v2/`), signal })
    response.discard()
    return plain
  }

  async #refusal(response: HttpResponse, what: string): Promise<PodlingError> {
    let body: Uint8Array = new Uint8Array()
    try {
      body = await response.bytes(64 * 1024)
    } catch {
      // The status says enough.
    }
    const error = statusError(what, this.registry, response.status, registryMessage(body))
    retryHints.set(error, { status: response.status, after: retryAfter(response.headers['retry-after'], Date.now()) })
    return error
  }

  /** Try until it works, or fails in a way that does not pass by itself. */
  async #retry<T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const { attempts = 5, retryDelay = 250, maxRetryAfter = 60_000 } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      throwIfAborted(what, signal)
      try {
        return await work()
      } catch (error) {
        if (signal?.aborted) throw abortedError(what, signal)
        const hint = error instanceof PodlingError ? retryHints.get(error) : undefined
        const passes = hint ? hint.status === 429 || hint.status === 408 || hint.status >= 500 : isPassing(error)
        if (!passes || attempt >= attempts) throw this.failure(what, error)
        if (hint?.after !== undefined && hint.after > maxRetryAfter) throw tooLong(error as PodlingError, hint.after)
        const backoff = retryDelay * 2 ** (attempt - 1) * (0.75 + Math.random() / 2)
        await pause(Math.max(hint?.after ?? 0, backoff), what, signal)
      }
    }
  }
}

/** What an error's response said about trying again; kept beside the error, since it is nobody else's business. */
const retryHints = new WeakMap<PodlingError, { readonly status: number; readonly after: number | undefined }>()

function tooLong(error: PodlingError, after: number): PodlingError {
  return new PodlingError(
    error.code,
    `${error.message}; it asks to wait for ${String(Math.ceil(after / 1000))} s: try again then`,
    {
      cause: error,
    },
  )
}

async function pause(milliseconds: number, what: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal ? { signal } : {})
  } catch {
    throwIfAborted(what, signal)
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

function sameMachine(host: string, registry: string): boolean {
  return splitRegistry(host).host === splitRegistry(registry).host || (isLoopback(host) && isLoopback(registry))
}
