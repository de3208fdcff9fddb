import { once } from 'node:events'
import type * as Http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { PodlingError } from '../../errors.js'
import { late } from '../../late.js'
import { show } from '../../schema/faults.js'
import { checkKnown } from '../../schema/known-options.js'

export interface ServeMetricsOptions {
  /** 0: one that is free. @default 9323 */
  readonly port?: number
  /** The address to listen at. @default '127.0.0.1': this machine alone can see them */
  readonly host?: string
}

/** A server of metrics. It ends with its runtime, and doesn't keep the process alive. */
export interface MetricsServer extends AsyncDisposable {
  /** `http://127.0.0.1:9323/metrics` */
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

const http = late('node:http') as () => typeof Http

const WHAT = 'serve the metrics'

/** @throws PodlingError `INVALID_OPTION`, `PORT_IN_USE` */
export async function serveMetrics(
  registry: Registry,
  options: ServeMetricsOptions,
  closed: AbortSignal,
): Promise<MetricsServer> {
  checkKnown(WHAT, options, { port: true, host: true })
  const { port = 9323, host = '127.0.0.1' } = options
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new PodlingError('INVALID_OPTION', `${WHAT}: port: must be 0..65535, got ${show(port)}`)
  }
  const server = http().createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end('the metrics are at /metrics\n')
      return
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(`${String(error)}\n`),
    )
  })
  server.unref()
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new PodlingError(
      code === 'EADDRINUSE' ? 'PORT_IN_USE' : 'INVALID_OPTION',
      `${WHAT}: cannot listen at ${host}:${String(port)}: ${String(code)}${code === 'EADDRINUSE' ? '; another process does, take another port or 0' : ''}`,
      { cause: error },
    )
  }
  const close = async (): Promise<void> => {
    if (!server.listening) return
    const ended = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await ended
  }
  const end = (): void => {
    void close()
  }
  if (closed.aborted) end()
  closed.addEventListener('abort', end)
  server.once('close', () => {
    closed.removeEventListener('abort', end)
  })
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${name}:${String(address.port)}/metrics`,
    port: address.port,
    close,
    [Symbol.asyncDispose]: close,
  }
}
