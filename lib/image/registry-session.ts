/** How requests reach one registry: its base address, logins, tries anew, typed errors. What they ask is others' business. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { Authenticator } from './authenticate.js'
import type { Credentials } from './registry-auth.js'
import { HttpClient, type HttpBody, type HttpRequest, type HttpResponse } from './http.js'
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
  /** What a token for a repository is to allow. @default to pull from it */
  readonly scopes?: (repository: string) => readonly string[]
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

export interface RegistryRequest {
  readonly method: HttpRequest['method']
  readonly repository: string
  /** Below `/v2/<repository>/`, or where the registry itself has sent us. */
  readonly path: string | URL
  readonly what: string
  readonly headers?: Readonly<Record<string, string>>
  /** Made anew for each try of a request. */
  readonly body?: (() => Buffer | HttpBody) | undefined
  readonly signal?: AbortSignal | undefined
}

export class RegistrySession {
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
      scopes: options.scopes,
    })
  }

  /** Docker Hub's API lives on another host than its name says. */
  get #host(): string {
    return this.registry === 'docker.io' ? 'registry-1.docker.io' : this.registry
  }

  /** Turn a failure in the midst of a body into the typed error. */
  failure(what: string, error: unknown, signal?: AbortSignal): PodlingError {
    if (error instanceof PodlingError) return error
    return signal?.aborted ? abortedError(what, signal) : networkError(what, this.registry, error)
  }

  /** Where a `Location` leads, as {@link HttpClient.follow}. */
  follow(location: string, from: URL): URL {
    return this.#http.follow(location, from)
  }

  close(): void {
    this.#http.close()
  }

  /**
   * One request, its challenge answered. Answers other than 401 are the caller's business. Another host that the registry
   * sends us to gets no credentials.
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const { method, repository, what, signal } = request
    this.#base ??= this.#probe(signal)
    let base: string
    try {
      base = await this.#base
    } catch (error) {
      this.#base = undefined
      throw error
    }
    const { path } = request
    const url = typeof path === 'string' ? new URL(`${base}/v2/${repository}/${path}`) : path
    const isOurs = url.origin === new URL(base).origin
    let authorization = isOurs ? this.#authenticator.header(repository) : undefined
    // Two answers: one for a token that has expired meanwhile, one for the challenge proper.
    for (let answers = 0; ; answers += 1) {
      const headers = { ...request.headers, ...(authorization === undefined ? {} : { Authorization: authorization }) }
      const response = await this.#http.send({ method, url, headers, body: request.body?.(), signal })
      if (response.status !== 401 || !isOurs) return response
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

  /** The typed error for an answer that is no success. */
  async refusal(response: HttpResponse, what: string): Promise<PodlingError> {
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
  async retry<T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      throwIfAborted(what, signal)
      try {
        return await work()
      } catch (error) {
        await this.beforeNext(attempt, error, what, signal)
      }
    }
  }

  /**
   * Wait until another try makes sense.
   * @param attempt the number of the one that failed, from 1 on
   * @throws {PodlingError} the failure, when it does not pass by itself or was the last one that is borne
   */
  async beforeNext(attempt: number, error: unknown, what: string, signal: AbortSignal | undefined): Promise<void> {
    const { attempts = 5, retryDelay = 250, maxRetryAfter = 60_000 } = this.#options
    if (signal?.aborted) throw abortedError(what, signal)
    const hint = error instanceof PodlingError ? retryHints.get(error) : undefined
    const passes = hint ? hint.status === 429 || hint.status === 408 || hint.status >= 500 : isPassing(error)
    if (!passes || attempt >= attempts) throw this.failure(what, error)
    if (hint?.after !== undefined && hint.after > maxRetryAfter) throw tooLong(error as PodlingError, hint.after)
    const backoff = retryDelay * 2 ** (attempt - 1) * (0.75 + Math.random() / 2)
    await pause(Math.max(hint?.after ?? 0, backoff), what, signal)
  }
}

/** What an error's response said about trying again; kept beside the error, since it is nobody else's business. */
const retryHints = new WeakMap<PodlingError, { readonly status: number; readonly after: number | undefined }>()

/** The status of the answer that an error is about; undefined when there was none. */
export function answeredStatus(error: unknown): number | undefined {
  return error instanceof PodlingError ? retryHints.get(error)?.status : undefined
}

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

function sameMachine(host: string, registry: string): boolean {
  return splitRegistry(host).host === splitRegistry(registry).host || (isLoopback(host) && isLoopback(registry))
}
