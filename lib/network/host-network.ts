/** The host's own network namespace, as this process sees it: its links and routes, its sysctls, and a lock on it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { bindSocket, close, openSocket, systemError } from '../sys/libc.js'
import type { Request } from './netlink/message.js'
import {
  getAddresses,
  getLink,
  getRoutes,
  parseAddress,
  parseLink,
  parseRoute,
  type Link,
  type UsedBlock,
} from './netlink/rtnetlink.js'
import { NetlinkError, NetlinkSocket } from './netlink/socket.js'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const lockName = '\0podling-network'
const lockRetry = 1

export class HostNetwork {
  #route: NetlinkSocket | undefined
  #netfilter: NetlinkSocket | undefined

  /** rtnetlink(7), opened at the first use. */
  get route(): NetlinkSocket {
    return (this.#route ??= NetlinkSocket.open('route'))
  }

  /** nf_tables, opened at the first use. */
  get netfilter(): NetlinkSocket {
    return (this.#netfilter ??= NetlinkSocket.open('netfilter'))
  }

  /** @returns undefined where there is none of this name. */
  link(name: string): Link | undefined {
    try {
      const [message] = this.route.request(getLink(name), `look for the link ${name}`)
      return message === undefined ? undefined : parseLink(message)
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === 'ENODEV') return undefined
      throw error
    }
  }

  /** The host's own addresses, with the blocks that they are of. */
  addresses(): UsedBlock[] {
    return this.route
      .dump(getAddresses(), 'list the addresses of the host')
      .map(parseAddress)
      .filter((address) => address !== undefined)
  }

  /** Blocks of addresses that the host has or has a way to, default routes aside. */
  usedBlocks(): UsedBlock[] {
    return [...this.addresses(), ...this.route.dump(getRoutes(), 'list the routes of the host').map(parseRoute)].filter(
      (block) => block !== undefined,
    )
  }

  /** Do what may have been done already. @returns false where the kernel says EEXIST. */
  unlessThere(request: Request, what: string): boolean {
    try {
      this.route.request(request, what)
      return true
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === 'EEXIST') return false
      throw error
    }
  }

  /** Does the kernel speak IPv6? It may be built without, or started with `ipv6.disable=1`. */
  hasIPv6(): boolean {
    return readSysctl('net/ipv6/conf/all/forwarding') !== undefined
  }

  /** What decides how links of containers are made. */
  traits(): { six: boolean; hairpin: boolean } {
    const filtered = ['iptables', 'ip6tables'].some((name) => readSysctl(`net/bridge/bridge-nf-call-${name}`) === '1')
    return { six: this.hasIPv6(), hairpin: filtered }
  }

  /**
   * Run `work` while no other process does so in this network namespace, whichever root it works on. The lock is a name
   * of an abstract unix(7) socket: such names belong to a network namespace, and end with their process.
   */
  async exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    const address = Buffer.alloc(2 + lockName.length)
    address.writeUInt16LE(AF_UNIX)
    address.write(lockName, 2)
    const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0, 'lock the network')
    try {
      while (!tryBind(fd, address)) await sleep(lockRetry)
      return await work()
    } finally {
      close(fd)
    }
  }

  close(): void {
    this.#route?.close()
    this.#netfilter?.close()
  }
}

function tryBind(fd: number, address: Buffer): boolean {
  try {
    bindSocket(fd, address, 'lock the network')
    return true
  } catch (error) {
    if (error instanceof PodlingError && error.errno === 'EADDRINUSE') return false
    throw error
  }
}

/** A sysctl of this network namespace by its path below /proc/sys. @returns undefined where there is none. */
export function readSysctl(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${path}`, 'latin1').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw sysctlError(error, 'read', path)
  }
}

/** Set a sysctl, unless it has this value: where /proc/sys is read-only, that is enough. */
export function writeSysctl(path: string, value: string): void {
  const before = readSysctl(path)
  if (before === value || before === undefined) return
  try {
    writeFileSync(`/proc/sys/${path}`, value)
  } catch (error) {
    throw sysctlError(error, `set to ${value}`, path)
  }
}

function sysctlError(error: unknown, verb: string, path: string): PodlingError {
  const { code = 'EIO' } = error as NodeJS.ErrnoException
  return systemError('open', code, `${verb} the sysctl ${path.replaceAll('/', '.')}`, `/proc/sys/${path}`)
}
