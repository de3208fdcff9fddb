/**
 * Unary calls of gRPC over a unix socket: one HTTP/2 request each, with a message in front of which stand its compression
 * and its length. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import type * as Http2 from 'node:http2'
import { connect } from 'node:net'
import { late } from '../../../late.js'

const http2 = late('node:http2') as () => typeof Http2

/** What a call ended with, when not with a response. */
export class GrpcError extends Error {
  /** The name of its status, `'NOT_FOUND'`. */
  readonly status: string

  constructor(status: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

/** By their numbers. https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const statuses = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

const longestResponse = 4 * 1024 * 1024

export interface GrpcClient {
  /** @throws GrpcError */
  call(path: string, request: Uint8Array): Promise<Buffer>
  close(): void
}

/** @param timeout milliseconds for each call */
export function grpcClient(socket: string, timeout: number): GrpcClient {
  const session = http2().connect('http://localhost', { createConnection: () => connect(socket) })
  // A failure of the session ends its calls, which tell of it.
  session.on('error', () => undefined)
  session.unref()
  return {
    call: (path, request) => callOnce(session, path, request, timeout),
    close: () => {
      session.destroy()
    },
  }
}

function callOnce(
  session: Http2.ClientHttp2Session,
  path: string,
  request: Uint8Array,
  timeout: number,
): Promise<Buffer> {
  if (session.destroyed || session.closed) {
    return Promise.reject(new GrpcError('UNAVAILABLE', 'the connection was closed'))
  }
  return new Promise((resolve, reject) => {
    session.ref()
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      te: 'trailers',
      'content-type': 'application/grpc',
      'grpc-timeout': `${String(timeout)}m`,
    })
    const chunks: Buffer[] = []
    let size = 0
    let head: Http2.IncomingHttpHeaders = {}
    let ended = false
    const end = (finish: () => void): void => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      session.unref()
      finish()
    }
    const fail = (status: string, message: string, cause?: unknown): void => {
      end(() => {
        stream.close(http2().constants.NGHTTP2_CANCEL)
        reject(new GrpcError(status, message, cause === undefined ? undefined : { cause }))
      })
    }
    const timer = setTimeout(() => {
      fail('DEADLINE_EXCEEDED', `no answer within ${String(timeout / 1000)} s`)
    }, timeout)
    stream.on('response', (headers) => {
      head = headers
    })
    stream.on('trailers', (trailers: Http2.IncomingHttpHeaders) => {
      head = { ...head, ...trailers }
    })
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > longestResponse) fail('RESOURCE_EXHAUSTED', `a response of more than ${String(longestResponse)} bytes`)
      else chunks.push(chunk)
    })
    stream.on('error', (error: Error) => {
      fail('UNAVAILABLE', error.message, error)
    })
    stream.on('close', () => {
      end(() => {
        settle(head, Buffer.concat(chunks), resolve, reject)
      })
    })
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(request.length, 1)
    stream.end(Buffer.concat([prefix, request]))
  })
}

function settle(
  head: Http2.IncomingHttpHeaders,
  body: Buffer,
  resolve: (message: Buffer) => void,
  reject: (error: GrpcError) => void,
): void {
  const code = head['grpc-status']
  if (code === undefined) {
    const status = head[':status']
    reject(
      new GrpcError(
        'UNAVAILABLE',
        status === undefined ? 'the connection was closed' : `HTTP status ${String(status)}`,
      ),
    )
  } else if (code !== '0') {
    const name = statuses[Number(code)] ?? `status ${String(code)}`
    reject(new GrpcError(name, decodeText(String(head['grpc-message'] ?? ''))))
  } else if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
    reject(new GrpcError('INTERNAL', 'a response that is no message of gRPC'))
  } else resolve(body.subarray(5))
}

/** Percent-encoded, as headers hold no more than ASCII. */
function decodeText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
