/**
 * One HTTP exchange with a registry: redirects, time-outs and cancel, nothing of the registry protocol. Node's own
 * http and https are used, since the TLS check has to be switched off for single hosts.
 */
import type * as Http from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type * as Https from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { late } from '../late.js'

const http = late('node:http') as () => typeof Http
const https = late('node:https') as () => typeof Https

export interface HttpOptions {
  /** Hosts for which certificates are not checked and plain HTTP is allowed. */
  readonly insecure: (host: string) => boolean
  /** Certificates of authorities (PEM) to trust for a host beside the system's. */
  readonly authorities?: (host: string) => readonly string[]
  /** Milliseconds without a single byte after which an exchange has stalled. */
  readonly stallTimeout: number
}

/** A body too large for memory: so many bytes, made as they are sent. */
export interface HttpBody {
  readonly length: number
  readonly chunks: AsyncIterable<Uint8Array>
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer | HttpBody | undefined
  readonly signal?: AbortSignal | undefined
}

export interface HttpResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Where it came from, after redirects. */
  readonly url: URL
  /** The body; must be read to its end or discarded. A cut connection throws. */
  readonly body: AsyncIterable<Buffer>
  /** The body, whole. Throws {@link TooLargeError} past the limit. */
  bytes(limit: number): Promise<Buffer>
  discard(): void
}

/** Nothing came for `stallTimeout`. */
export class StalledError extends Error {
  readonly code = 'ESTALLED'
}

/** More came than is read. */
export class TooLargeError extends Error {
  readonly code = 'ETOOLARGE'
}

/** A redirect that may not be followed. */
export class RedirectError extends Error {
  readonly code = 'EREDIRECT'
}

const maxRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])

export class HttpClient {
  readonly #options: HttpOptions
  readonly #http = new (http().Agent)({ keepAlive: true })
  readonly #https = new (https().Agent)({ keepAlive: true })

  constructor(options: HttpOptions) {
    this.#options = options
  }

  /**
   * Send a request and follow its redirects, unless it brings something: what was meant for one host is not handed to
   * another. `Authorization` goes to the first origin only, and no redirect leads from https to http unless that host is
   * an insecure one.
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    let { url, headers } = request
    for (let count = 0; ; count += 1) {
      const response = await this.#exchange({ ...request, url, ...(headers ? { headers } : {}) })
      const { location } = response.headers
      const asks = request.method === 'GET' || request.method === 'HEAD'
      if (!redirects.has(response.status) || location === undefined || !asks) {
        return wrap(response, url, this.#options.stallTimeout)
      }
      response.message.resume()
      if (count === maxRedirects)
        throw new RedirectError(`more than ${String(maxRedirects)} redirects, the last to ${location}`)
      const next = this.follow(location, url)
      if (next.origin !== url.origin && headers) headers = withoutAuthorization(headers)
      url = next
    }
  }

  /**
   * Where a `Location` leads.
   * @throws RedirectError when it is no URL of http or https, or leads from https to plain http at a secure host
   */
  follow(location: string, from: URL): URL {
    const next = resolveLocation(location, from)
    if (from.protocol === 'https:' && next.protocol === 'http:' && !this.#options.insecure(next.host)) {
      throw new RedirectError(`a redirect from ${from.host} to plain http at ${next.host}`)
    }
    return next
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }

  #exchange(request: HttpRequest): Promise<{ status: number; headers: IncomingHttpHeaders; message: IncomingMessage }> {
    const { url, method, headers, body, signal } = request
    const tls = url.protocol === 'https:'
    const authorities = this.#options.authorities?.(url.host) ?? []
    const { stallTimeout } = this.#options
    return new Promise((resolve, reject) => {
      const streams = typeof body === 'object' && !Buffer.isBuffer(body)
      const settings = {
        method,
        // Of a body that was cut short by an early answer the connection can't be used for more.
        headers: {
          'User-Agent': 'podling',
          ...headers,
          ...(streams ? { 'Content-Length': String(body.length), Connection: 'close' } : {}),
        },
        ...(signal ? { signal } : {}),
      }
      const outgoing = tls
        ? https().request(url, {
            ...settings,
            agent: this.#https,
            rejectUnauthorized: !this.#options.insecure(url.host),
            ...(authorities.length === 0 ? {} : { ca: [...authorities] }),
          })
        : http().request(url, { ...settings, agent: this.#http })
      const timer = setTimeout(() => {
        outgoing.destroy(new StalledError(`no answer within ${String(stallTimeout)} ms`))
      }, stallTimeout)
      outgoing.once('response', (message) => {
        clearTimeout(timer)
        resolve({ status: message.statusCode ?? 0, headers: message.headers, message })
      })
      outgoing.once('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      if (streams) sendBody(outgoing, body, timer, reject)
      else outgoing.end(body)
    })
  }
}

/**
 * Send what is made on the way. Each chunk that the peer takes starts the stall clock anew. A registry may answer before
 * it has read all, and close: then the answer counts, and not that the rest found no taker.
 */
function sendBody(
  outgoing: ClientRequest,
  body: HttpBody,
  timer: NodeJS.Timeout,
  fail: (error: unknown) => void,
): void {
  let answered = false
  outgoing.once('response', () => (answered = true))
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of body.chunks) {
      if (answered) return
      timer.refresh()
      yield chunk
    }
  }
  pipeline(Readable.from(source(), { objectMode: false }), outgoing).catch((error: unknown) => {
    if (answered) return
    clearTimeout(timer)
    fail(error)
  })
}

function resolveLocation(location: string, base: URL): URL {
  try {
    const next = new URL(location, base)
    if (next.protocol === 'https:' || next.protocol === 'http:') return next
  } catch {
    // Not a URL: the same answer as for a scheme that is none of ours.
  }
  throw new RedirectError(`a redirect to ${location.slice(0, 200)}`)
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))
}

function wrap(
  { status, headers, message }: { status: number; headers: IncomingHttpHeaders; message: IncomingMessage },
  url: URL,
  stallTimeout: number,
): HttpResponse {
  const body = chunks(message, stallTimeout)
  return {
    status,
    headers,
    url,
    body,
    async bytes(limit) {
      const parts: Buffer[] = []
      let length = 0
      for await (const chunk of body) {
        length += chunk.byteLength
        if (length > limit) throw new TooLargeError(`more than ${String(limit)} bytes`)
        parts.push(chunk)
      }
      return Buffer.concat(parts)
    },
    discard: () => message.destroy(),
  }
}

/**
 * The chunks of a body. The stall clock runs only while we wait for the peer, so that a slow disk on our side is not
 * taken for a stalled registry. Leaving the loop early destroys the connection.
 */
async function* chunks(message: IncomingMessage, stallTimeout: number): AsyncGenerator<Buffer> {
  const iterator = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  try {
    for (;;) {
      const timer = setTimeout(() => {
        message.destroy(new StalledError(`no byte within ${String(stallTimeout)} ms`))
      }, stallTimeout)
      let result: IteratorResult<Buffer>
      try {
        result = await iterator.next()
      } finally {
        clearTimeout(timer)
      }
      if (result.done) return
      yield result.value
    }
  } finally {
    message.destroy()
  }
}
