/** What `ports` of a container may say, brought to one form. Pure. */
import { formatFaults, show, type Fault } from '../schema/faults.js'
import { PodlingError } from '../errors.js'
import { parseAddress, toNumber } from './address.js'
import type { Protocol } from './firewall-table.js'

/** A port of the container that is to be reached by one of the host. */
export interface PortObject {
  /** In the container, 1 to 65535. */
  readonly container: number
  /** On the host. @default a free one */
  readonly host?: number
  /** The address of the host. @default all of them */
  readonly ip?: string
  /** @default 'tcp' */
  readonly protocol?: Protocol
}

/**
 * `80`; `'8080:80'`, `'80/udp'`, `'127.0.0.1:8080:80/tcp'`, `'[2001:db8::1]:8080:80'`, `'127.0.0.1::80'` (a free port there);
 * ranges, `'8000-8010:80-90'`; or an object.
 */
export type PortOption = number | string | PortObject

/** One port to publish. */
export interface PortRequest {
  readonly container: number
  /** Undefined: a free one. */
  readonly host: number | undefined
  /** Undefined: all addresses of the host. */
  readonly ip: string | undefined
  readonly protocol: Protocol
}

const protocols: readonly string[] = ['tcp', 'udp', 'sctp']

/** All that is wrong with it, `ports[1].host: must be 0..65535, got 70000`, and what it asks for. */
export function parsePorts(ports: readonly PortOption[], path = 'ports'): { requests: PortRequest[]; faults: Fault[] } {
  const requests: PortRequest[] = []
  const faults: Fault[] = []
  ports.forEach((port, index) => {
    const at = `${path}[${String(index)}]`
    const parsed =
      typeof port === 'string'
        ? parseText(port, at)
        : parseObject(typeof port === 'number' ? { container: port } : port, at)
    faults.push(...parsed.faults)
    if (parsed.faults.length === 0) requests.push(...parsed.requests)
  })
  if (faults.length === 0) faults.push(...doubled(requests, path))
  return { requests, faults }
}

/** @throws PodlingError `INVALID_OPTION` */
export function portRequests(ports: readonly PortOption[]): PortRequest[] {
  const { requests, faults } = parsePorts(ports)
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('publish ports', faults))
  return requests
}

interface Parsed {
  readonly requests: readonly PortRequest[]
  readonly faults: readonly Fault[]
}

function parseObject({ container, host, ip, protocol = 'tcp' }: PortObject, at: string): Parsed {
  const faults: Fault[] = []
  if (!isPort(container)) faults.push({ path: `${at}.container`, message: `must be 1..65535, got ${show(container)}` })
  // 0 asks for a free one, as bind(2) has it.
  if (host !== undefined && host !== 0 && !isPort(host)) {
    faults.push({ path: `${at}.host`, message: `must be 0..65535, got ${show(host)}` })
  }
  if (ip !== undefined && parseAddress(ip) === undefined) {
    faults.push({ path: `${at}.ip`, message: `must be an IP address, got ${show(ip)}` })
  }
  if (isLoopback6(ip)) faults.push({ path: `${at}.ip`, message: notAtLoopback6 })
  if (!protocols.includes(protocol)) {
    faults.push({ path: `${at}.protocol`, message: `must be 'tcp', 'udp' or 'sctp', got ${show(protocol)}` })
  }
  return { requests: [{ container, host: host === 0 ? undefined : host, ip: anyAddress(ip), protocol }], faults }
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535
}

/** The kernel lets nothing that comes from ::1 leave the host, not to a container either. */
const notAtLoopback6 = 'must not be at ::1, from where nothing can be forwarded: publish at 127.0.0.1'

function isLoopback6(ip: string | undefined): boolean {
  const parsed = ip === undefined ? undefined : parseAddress(ip)
  return parsed?.family === 6 && toNumber(parsed.address) === 1n
}

/** `0.0.0.0` says what leaving it out says; `::` alone is all IPv6 addresses. */
function anyAddress(ip: string | undefined): string | undefined {
  return ip === '0.0.0.0' || ip === '' ? undefined : ip
}

const shape = /^(?:(?:(?<ip>\[[^\]]*\]|[^:[\]]*):)?(?<host>[^:]*):)?(?<container>[^:/]+)(?:\/(?<protocol>[^/]*))?$/

function parseText(text: string, at: string): Parsed {
  const fault = (message: string): Parsed => ({ requests: [], faults: [{ path: at, message }] })
  const match = shape.exec(text)?.groups
  if (match === undefined) return fault(`must be '[[IP:]HOST:]CONTAINER[/PROTOCOL]', got ${show(text)}`)
  const protocol = (match['protocol'] ?? 'tcp').toLowerCase()
  if (!protocols.includes(protocol)) return fault(`protocol must be tcp, udp or sctp, got ${show(text)}`)
  const ip = match['ip']?.replace(/^\[|\]$/g, '')
  if (ip !== undefined && ip !== '' && parseAddress(ip) === undefined)
    return fault(`must begin with an IP address, got ${show(text)}`)
  if (isLoopback6(ip)) return fault(notAtLoopback6)
  const container = parseRange(match['container'] ?? '')
  if (container === undefined || container.first === 0)
    return fault(`container port must be 1..65535 or a range, got ${show(text)}`)
  const hostText = match['host'] ?? ''
  const host = hostText === '' || hostText === '0' ? undefined : parseRange(hostText)
  if (host === undefined && hostText !== '' && hostText !== '0')
    return fault(`host port must be 0..65535 or a range, got ${show(text)}`)
  if (host?.first === 0) return fault(`host port must be 1..65535 in a range, got ${show(text)}`)
  const size = container.last - container.first
  if (host !== undefined && host.last - host.first !== size) {
    return fault(`both ranges must have the same length, got ${show(text)}`)
  }
  return {
    requests: Array.from({ length: size + 1 }, (_, index) => ({
      container: container.first + index,
      host: host === undefined ? undefined : host.first + index,
      ip: anyAddress(ip),
      protocol: protocol as Protocol,
    })),
    faults: [],
  }
}

function parseRange(text: string): { first: number; last: number } | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) return undefined
  const first = Number(match[1])
  const last = Number(match[2] ?? match[1])
  return first <= last && last <= 65535 ? { first, last } : undefined
}

function doubled(requests: readonly PortRequest[], path: string): Fault[] {
  const seen = new Set<string>()
  return requests.flatMap(({ host, ip, protocol }) => {
    if (host === undefined) return []
    const key = `${ip ?? ''} ${String(host)} ${protocol}`
    if (!seen.has(key)) {
      seen.add(key)
      return []
    }
    return [{ path, message: `host port ${String(host)}/${protocol} is given twice` }]
  })
}
