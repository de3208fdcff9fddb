/** What the user-mode networks have in common: a program beside the container that makes its packets connections of the host. */
import { accessSync, constants } from 'node:fs'
import { PodlingError } from '../errors.js'
import type { BoundPort } from './attachment.js'
import { holdPort } from './held-ports.js'
import type { PortRequest } from './ports.js'
import { parseAddress } from './address.js'
import { close } from '../sys/descriptors.js'

export interface UserModeRequest {
  /** A path of the container's network namespace: `/proc/PID/ns/net` of a process that can't end meanwhile. */
  readonly netns: string
  readonly ports: readonly PortRequest[]
  /**
   * The program ends when this pipe's other end is closed everywhere: that one belongs to the container's monitor. Not
   * closed here.
   */
  readonly lifetime: number
  /** The helper program. */
  readonly helper: string
  /** A directory of the container's own, for sockets. */
  readonly directory: string
  /** May it have an address that stands for the host? */
  readonly hostGateway: boolean
  /** Where programs are looked for. @default {@link programDirectories} */
  readonly programs?: readonly string[]
}

export interface UserModeNetwork {
  readonly ports: readonly BoundPort[]
}

/** What a user-mode network says of itself before it runs. */
export interface UserModeFacts {
  /** Where the container finds its resolver; the program asks those of the host. */
  readonly resolver: string
}

export const programDirectories: readonly string[] = [
  '/usr/local/bin',
  '/usr/bin',
  '/bin',
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
]

export function lookForProgram(name: string, directories = programDirectories): string | undefined {
  return directories
    .map((directory) => `${directory}/${name}`)
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        // The next one may have it.
        return false
      }
    })
}

/** @throws PodlingError `NETWORK_PROGRAM_NOT_FOUND` */
export function findProgram(name: string, debianPackage: string, directories = programDirectories): string {
  const found = lookForProgram(name, directories)
  if (found !== undefined) return found
  throw new PodlingError(
    'NETWORK_PROGRAM_NOT_FOUND',
    `network ${name}: there is no program ${name} in ${directories.join(', ')}; install it (apt install ${debianPackage}), or use another network: ${otherThan(name)}, 'none' or 'host'`,
  )
}

function otherThan(name: string): string {
  return name === 'pasta' ? "'slirp4netns'" : "'pasta'"
}

/**
 * What a program says where it can't have a tap device, in words with a remedy. Where udev runs, everybody may have one.
 * @returns undefined when it says something else
 */
export function tapError(program: string, said: string): PodlingError | undefined {
  if (!said.includes('/dev/net/tun')) return undefined
  const what = `start ${program}: open /dev/net/tun`
  const path = '/dev/net/tun'
  if (/denied/.test(said)) {
    return new PodlingError(
      'PERMISSION_DENIED',
      `${what}: EACCES: ordinary users may not; as root: chmod 666 /dev/net/tun`,
      { path, errno: 'EACCES' },
    )
  }
  if (!/No such/.test(said)) return undefined
  return new PodlingError('KERNEL_UNSUPPORTED', `${what}: it isn't there; as root: modprobe tun`, {
    path,
    errno: 'ENOENT',
  })
}

/**
 * The ports with free ones chosen. They can't be held until the program binds them, so it may find one taken; then
 * {@link withFreePorts} chooses anew.
 * @throws PodlingError `PORT_IN_USE`, `INVALID_OPTION`
 */
export function choosePorts(requests: readonly PortRequest[], network: string): BoundPort[] {
  const held: number[] = []
  try {
    return requests.map(({ container, host, ip = '0.0.0.0', protocol }) => {
      if (protocol === 'sctp') {
        throw new PodlingError('INVALID_OPTION', `ports: network ${network} publishes tcp and udp, not sctp`)
      }
      const parsed = parseAddress(ip)
      if (parsed === undefined) throw new PodlingError('INVALID_OPTION', `ports: ${ip} is no address`)
      const all = ip === '0.0.0.0' || ip === '::'
      const { family, address } = parsed
      const holder = holdPort({ protocol, family, address: all ? undefined : address, port: host ?? 0 })
      if (holder.fd !== undefined) held.push(holder.fd)
      return { container, protocol, ip, host: holder.port }
    })
  } finally {
    for (const fd of held) close(fd)
  }
}

const tries = 5

/** Start with ports that were chosen; where one of those is taken by then, with others. */
export async function withFreePorts(
  requests: readonly PortRequest[],
  network: string,
  start: (ports: readonly BoundPort[]) => Promise<void>,
): Promise<UserModeNetwork> {
  for (let attempt = 1; ; attempt++) {
    const ports = choosePorts(requests, network)
    try {
      await start(ports)
      return { ports }
    } catch (error) {
      const taken = error instanceof PodlingError && error.code === 'PORT_IN_USE'
      const chosen = requests.some(({ host }) => host === undefined)
      if (!taken || !chosen || attempt === tries) throw error
    }
  }
}
