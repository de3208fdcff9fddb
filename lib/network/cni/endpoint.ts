/** What a CNI plugin's result says of a container's place on its network. Pure. */
import { parseAddress, parseCidr, type Family } from '../address.js'
import type { Endpoint, EndpointDns, EndpointOptions } from '../attachment.js'
import type { CniResult } from './result.js'

/** @param ifname the link inside, which the plugins were told */
export function endpointFrom(
  result: CniResult,
  { network, ifname, aliases }: { network: string; ifname: string; aliases: readonly string[] },
): Endpoint {
  const interfaces = result.interfaces ?? []
  const own = interfaces.findIndex(({ name, sandbox }) => name === ifname && (sandbox ?? '') !== '')
  // A chain may give the container further links; without a list of links all addresses are of the one.
  const ips = (result.ips ?? []).filter((ip) => own < 0 || (ip.interface ?? own) === own)
  const dns = dnsOf(result)
  return {
    network,
    interface: ifname,
    mac: (interfaces[own]?.mac ?? '').toLowerCase(),
    addresses: ips.map(({ address }) => address),
    gateways: [...new Set(ips.flatMap(({ gateway }) => (gateway === undefined || gateway === '' ? [] : [gateway])))],
    aliases,
    defaultRoutes: [...new Set((result.routes ?? []).flatMap(({ dst }) => defaultFamily(dst)))],
    ...(dns === undefined ? {} : { dns }),
  }
}

function defaultFamily(destination: string): Family[] {
  const block = parseCidr(destination)
  return block?.prefix === 0 ? [block.family] : []
}

function dnsOf({ dns }: CniResult): EndpointDns | undefined {
  // What stands in a file of lines must not bring lines of its own.
  const words = (list: readonly string[] | null | undefined): string[] =>
    (list ?? []).filter((word) => /^[^\s#;]+$/.test(word))
  const servers = words(dns?.nameservers).filter((server) => parseAddress(server) !== undefined)
  const domain = words(dns?.domain === undefined ? [] : [dns.domain])
  const search = words(dns?.search)
  const options = words(dns?.options)
  if (servers.length + domain.length + search.length + options.length === 0) return undefined
  return { servers, search: search.length > 0 ? search : domain, options }
}

/** @returns a sentence about what was asked for and is not there: some plugins pass over what they don't know */
export function unmet(endpoint: Endpoint, { ip, ip6, mac }: EndpointOptions): string | undefined {
  const has = endpoint.addresses.flatMap((text) => parseCidr(text)?.address ?? [])
  for (const wanted of [ip, ip6]) {
    const address = wanted === undefined ? undefined : parseAddress(wanted)?.address
    if (address !== undefined && !has.some((one) => one.equals(address))) {
      return `its plugins gave it ${endpoint.addresses.join(', ') || 'no address'}, not ${String(wanted)}; have its configuration use an IPAM plugin that takes addresses, such as host-local or static`
    }
  }
  if (mac === undefined || endpoint.mac === '' || endpoint.mac === mac.toLowerCase()) return undefined
  return `its plugins gave it the MAC ${endpoint.mac}, not ${mac}; add a plugin with the capability mac, such as tuning`
}

/** Families of its addresses. */
export function familiesAt({ addresses }: Endpoint): Family[] {
  return [...new Set(addresses.flatMap((text) => parseCidr(text)?.family ?? []))]
}
