/**
 * Where a container finds services of its host, as Podman chooses it (`host_containers_internal_ip` of containers.conf(5)): what
 * the name `host-gateway` stands for.
 */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Endpoint } from './attachment.js'
import type { NetworkRecord } from './network-record.js'
import type { NetworkSpace } from './network-space.js'

/**
 * For a container on networks: with root's bridges the host's own address on the first of them, IPv4 before IPv6; with those of
 * an ordinary user, which are not on the host, what their way out has for it; with others the host's address towards all else.
 */
export async function gatewayOfNetworks(
  endpoints: readonly Endpoint[],
  space: NetworkSpace,
  find: (name: string) => NetworkRecord | undefined,
): Promise<string | undefined> {
  const records = endpoints.flatMap((endpoint) => {
    const record = find(endpoint.network)
    return record === undefined ? [] : [{ endpoint, record }]
  })
  const bridges = records.filter(({ record }) => record.driver === 'bridge')
  if (bridges.length === 0) return hostAddress()
  const { host } = space
  if (host !== 'gateways') return bridges.some(({ record }) => !record.internal) ? await host() : undefined
  // Of an internal network the endpoint has no gateway; the bridge has its address all the same.
  const gateways = bridges.flatMap(({ record }) => record.subnets.flatMap(({ gateway }) => gateway ?? []))
  return gateways.find((address) => !address.includes(':')) ?? gateways[0]
}

/** The host's address on the link of its default route, or on the first link with one; IPv4 before IPv6. */
export function hostAddress(): string | undefined {
  const all = networkInterfaces()
  const outwards = all[defaultLink() ?? ''] ?? []
  const rest = Object.values(all).flatMap((addresses) => addresses ?? [])
  const usable = [...outwards, ...rest].filter(
    ({ internal, address }) => !internal && !/^(169\.254\.|fe80:)/i.test(address),
  )
  return (usable.find(({ family }) => family === 'IPv4') ?? usable[0])?.address
}

/** By proc_net_route: its first two columns are a link and where it leads. */
function defaultLink(): string | undefined {
  try {
    return /^(\S+)\t00000000\t/m.exec(readFileSync('/proc/net/route', 'utf8'))?.[1]
  } catch {
    // A kernel without IPv4.
    return undefined
  }
}
