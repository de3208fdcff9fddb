/** What is written to one registry (OCI distribution spec 1.1, "Push"). */
import { PodlingError } from '../errors.js'
import type { Descriptor } from './manifest.js'
import type { HttpBody, HttpResponse } from './http.js'
import { RegistrySession, type RegistryOptions } from './registry-session.js'

/** An upload session that the registry has opened for one blob. */
export interface Upload {
  /** Where the next bytes go: the registry names a new place with each answer. */
  readonly location: URL
  /** Bytes that the registry has. */
  readonly offset: number
}

export class RegistryUploads {
  readonly #session: RegistrySession

  constructor(registry: string, options: RegistryOptions = {}) {
    this.#session = new RegistrySession(registry, options)
  }

  /** As references name it: `localhost:5000`, `docker.io`. */
  get registry(): string {
    return this.#session.registry
  }

  /** Whether a repository has a blob. @throws {PodlingError} REGISTRY_*, ABORTED; so do all the others */
  async hasBlob(repository: string, digest: string, signal?: AbortSignal): Promise<boolean> {
    const what = `look for the blob ${digest} in ${this.registry}/${repository}`
    return this.#has({ repository, path: `blobs/${digest}`, what, signal })
  }

  /** Whether a repository has a manifest of this digest. */
  async hasManifest(repository: string, digest: string, mediaType: string, signal?: AbortSignal): Promise<boolean> {
    const what = `look for the manifest ${digest} in ${this.registry}/${repository}`
    return this.#has({ repository, path: `manifests/${digest}`, what, headers: { Accept: mediaType }, signal })
  }

  /**
   * Let a blob of another repository of the same registry be one of this repository, too.
   * @returns undefined when that is done; else the upload that the registry opened in its place
   */
  async mount(repository: string, digest: string, from: string, signal?: AbortSignal): Promise<Upload | undefined> {
    const query = new URLSearchParams({ mount: digest, from }).toString()
    const what = `mount the blob ${digest} of ${this.registry}/${from} in ${repository}`
    return this.#open(repository, `blobs/uploads/?${query}`, what, signal)
  }

  /** Open an upload. */
  async begin(repository: string, what: string, signal?: AbortSignal): Promise<Upload> {
    const upload = await this.#open(repository, 'blobs/uploads/', what, signal)
    if (upload) return upload
    throw new PodlingError('REGISTRY_FAILED', `${what}: ${this.registry} says that it is there, but not what`)
  }

  /**
   * Send the next bytes of a blob. One try: a failure is thrown raw, and {@link status} tells how far it came.
   * @param first whether they are the first ones. Then no range is named, as every registry understands.
   */
  async append(
    repository: string,
    upload: Upload,
    body: HttpBody,
    what: string,
    signal?: AbortSignal,
  ): Promise<Upload> {
    const { location, offset } = upload
    const end = offset + body.length
    const headers = {
      'Content-Type': 'application/octet-stream',
      ...(offset === 0 ? {} : { 'Content-Range': `${String(offset)}-${String(end - 1)}` }),
    }
    const request = { method: 'PATCH', repository, path: location, what, headers, body: () => body, signal } as const
    const response = await this.#session.send(request)
    if (response.status !== 202 && response.status !== 204) throw await this.#session.refusal(response, what)
    response.discard()
    return { location: this.#next(response, location, what), offset: end }
  }

  /** How far an upload has come; undefined when the registry has given it up. */
  async status(repository: string, upload: Upload, what: string, signal?: AbortSignal): Promise<Upload | undefined> {
    return this.#session.retry(what, signal, async () => {
      const response = await this.#session.send({ method: 'GET', repository, path: upload.location, what, signal })
      response.discard()
      if (response.status !== 204 && response.status !== 202) return undefined
      const range = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.range ?? '')
      // A registry that has nothing says `0-0`, which is what it says of one byte, too: that one is sent again.
      const last = Number(range?.[1] ?? 0)
      return { location: this.#next(response, upload.location, what), offset: last === 0 ? 0 : last + 1 }
    })
  }

  /** Close an upload, with its last bytes or without: from here on the blob is in the repository. One try. */
  async finish(
    repository: string,
    upload: Upload,
    digest: string,
    body: Buffer | HttpBody,
    what: string,
    signal?: AbortSignal,
  ): Promise<void> {
    const path = new URL(upload.location)
    // By hand: URLSearchParams would write what the registry has put there in another way.
    path.search = `${path.search === '' ? '?' : `${path.search}&`}digest=${encodeURIComponent(digest)}`
    const headers = {
      'Content-Type': 'application/octet-stream',
      ...(Buffer.isBuffer(body) ? { 'Content-Length': String(body.length) } : {}),
    }
    const response = await this.#session.send({
      method: 'PUT', repository, path, what, headers, body: () => body, signal,
    }) // prettier-ignore
    if (response.status !== 201 && response.status !== 204) throw await this.#session.refusal(response, what)
    response.discard()
  }

  /** Give an upload up. Best effort: a registry forgets it by itself, later. */
  async cancel(repository: string, upload: Upload): Promise<void> {
    const signal = AbortSignal.timeout(5000)
    const what = 'give up an upload'
    await this.#session
      .send({ method: 'DELETE', repository, path: upload.location, what, signal })
      .then((response) => {
        response.discard()
      })
      .catch(() => undefined)
  }

  /** Put a manifest or index under a tag or its digest. What it points to must be there. */
  async putManifest(
    repository: string,
    reference: string,
    { mediaType, digest }: Descriptor,
    bytes: Buffer,
    signal?: AbortSignal,
  ): Promise<void> {
    const what = `push the manifest of ${this.registry}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
    await this.#session.retry(what, signal, async () => {
      const response = await this.#session.send({
        method: 'PUT',
        repository,
        path: `manifests/${reference}`,
        what,
        headers: { 'Content-Type': mediaType, 'Content-Length': String(bytes.length) },
        body: () => bytes,
        signal,
      })
      if (response.status !== 201) throw await this.#session.refusal(response, what)
      response.discard()
      const stored = response.headers['docker-content-digest']
      if (typeof stored === 'string' && stored.startsWith('sha256:') && stored !== digest) {
        throw new PodlingError('DIGEST_MISMATCH', `${what}: sent ${digest}, but ${this.registry} has stored ${stored}`)
      }
    })
  }

  /** Wait until another try makes sense: {@link RegistrySession.beforeNext}. */
  beforeNext(attempt: number, error: unknown, what: string, signal?: AbortSignal): Promise<void> {
    return this.#session.beforeNext(attempt, error, what, signal)
  }

  close(): void {
    this.#session.close()
  }

  async #has(request: {
    readonly repository: string
    readonly path: string
    readonly what: string
    readonly headers?: Readonly<Record<string, string>>
    readonly signal: AbortSignal | undefined
  }): Promise<boolean> {
    const { what, signal } = request
    return this.#session.retry(what, signal, async () => {
      const response = await this.#session.send({ ...request, method: 'HEAD' })
      if (response.status !== 200 && response.status !== 404) throw await this.#session.refusal(response, what)
      response.discard()
      return response.status === 200
    })
  }

  async #open(repository: string, path: string, what: string, signal?: AbortSignal): Promise<Upload | undefined> {
    return this.#session.retry(what, signal, async () => {
      const headers = { 'Content-Length': '0' }
      const response = await this.#session.send({ method: 'POST', repository, path, what, headers, signal })
      if (response.status !== 201 && response.status !== 202) throw await this.#session.refusal(response, what)
      response.discard()
      return response.status === 201 ? undefined : { location: this.#next(response, response.url, what), offset: 0 }
    })
  }

  #next(response: HttpResponse, from: URL, what: string): URL {
    const { location } = response.headers
    if (location !== undefined) return this.#session.follow(location, from)
    throw new PodlingError('REGISTRY_FAILED', `${what}: ${this.registry} does not say where to (no Location header)`)
  }
}
