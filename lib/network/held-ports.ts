/**
 * Ports of the host that are kept from everybody else by a socket that is bound to them. No packet ever comes to these
 * sockets, since the firewall sends it on to the container; they are there so that bind(2) of another program says
 * EADDRINUSE, and ours does when another program was first.
 */
import { PodlingError } from '../errors.js'
import { close } from '../sys/descriptors.js'
import { bindSocket, listenAndShut, openSocket, setSocketOption, socketAddress } from '../sys/sockets.js'
import { formatAddress, type Family } from './address.js'
import type { Protocol } from './firewall-table.js'

const domains = { 4: 2, 6: 10 } as const
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_RCVBUF = 8
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26

/** A host's port to hold. */
export interface HostPort {
  readonly protocol: Protocol
  readonly family: Family
  /** Undefined: all addresses of the host. */
  readonly address: Buffer | undefined
  /** 0: a free one. */
  readonly port: number
}

export interface HeldPort {
  readonly port: number
  /** The socket; undefined where the kernel has no sockets of the protocol that anybody could bind (SCTP). */
  readonly fd: number | undefined
}

/**
 * Bind a socket to the port.
 * @throws PodlingError `PORT_IN_USE`, `INVALID_OPTION` for an address that the host doesn't have, `PERMISSION_DENIED`
 */
export function holdPort(wanted: HostPort): HeldPort {
  // SCTP has no sockets on many kernels, and programs that speak it are few: the firewall's element is enough.
  if (wanted.protocol === 'sctp') return { port: wanted.port, fd: undefined }
  const what = `publish ${describePort(wanted)}`
  const stream = wanted.protocol === 'tcp'
  const fd = openSocket(domains[wanted.family], stream ? SOCK_STREAM : SOCK_DGRAM, 0, what)
  try {
    if (wanted.family === 6) setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, what)
    // A port that the kernel picks is one that nobody has used lately.
    const shared = stream && wanted.port !== 0
    if (shared) setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, what)
    if (!stream) setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, 0, what)
    bindSocket(fd, socketAddressOf(wanted), what)
    if (shared) shutOthersOut(fd, what)
    return { port: socketAddress(fd).readUInt16BE(2), fd }
  } catch (error) {
    close(fd)
    throw bindError(error, wanted)
  }
}

/**
 * The port is bound with SO_REUSEADDR, as a server's is, so that connections of a server before us which are in
 * TIME_WAIT are no obstacle. But then others with that option could bind it too. To have listened shuts them out
 * (the kernel forgets that the port was shared), and with the option gone it stays so; a socket that is bound and does not
 * listen is nothing that a client could connect to.
 */
function shutOthersOut(fd: number, what: string): void {
  listenAndShut(fd, what)
  setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 0, what)
}

/** `struct sockaddr_in` or `sockaddr_in6` */
function socketAddressOf({ family, address, port }: HostPort): Buffer {
  const bytes = Buffer.alloc(family === 4 ? 16 : 28)
  bytes.writeUInt16LE(domains[family], 0)
  bytes.writeUInt16BE(port, 2)
  if (address !== undefined) bytes.set(address, family === 4 ? 4 : 8)
  return bytes
}

/** `port 8080/tcp at 127.0.0.1` */
export function describePort({ protocol, family, address, port }: HostPort): string {
  const number = port === 0 ? 'a free port' : `port ${String(port)}`
  const all = family === 4 ? '' : ' (IPv6)'
  return `${number}/${protocol}${address === undefined ? all : ` at ${formatAddress(address)}`}`
}

function bindError(error: unknown, wanted: HostPort): unknown {
  if (!(error instanceof PodlingError)) return error
  const what = `publish ${describePort(wanted)}`
  const details = { cause: error, syscall: 'bind', ...(error.errno === undefined ? {} : { errno: error.errno }) }
  if (error.errno === 'EADDRINUSE') {
    return new PodlingError(
      'PORT_IN_USE',
      `${what}: another program uses it; stop that one or choose another port`,
      details,
    )
  }
  if (error.errno === 'EADDRNOTAVAIL') {
    return new PodlingError('INVALID_OPTION', `${what}: the host has no such address`, details)
  }
  // Only ports have this errno: of an address that isn't there it is another.
  if (error.errno === 'EACCES') {
    return new PodlingError(
      'PERMISSION_DENIED',
      `${what}: ordinary users may not have ports below the sysctl net.ipv4.ip_unprivileged_port_start; choose a higher one, or lower it as root: sysctl net.ipv4.ip_unprivileged_port_start=${String(wanted.port)}`,
      details,
    )
  }
  return error
}
