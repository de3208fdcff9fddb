/** What `network` of a container says, with the options that go with it. Pure. */
import type { Fault } from '../schema/faults.js'
import { show } from '../schema/faults.js'
import { parseAddress, parseMac, type Family } from './address.js'
import type { EndpointOptions } from './attachment.js'
import { defaultNetwork } from './network-record.js'
import { parsePorts, type PortOption, type PortRequest } from './ports.js'

/** The network of a container in one form. */
export type NetworkMode =
  /** Of its own, with nothing but loopback. */
  | 'none'
  /** The host's. */
  | 'host'
  /** That of another container, by its name or id. */
  | { readonly kind: 'container'; readonly container: string }
  /** That of the container's pod. */
  | { readonly kind: 'pod' }
  /** The network namespace at this path of the host. */
  | { readonly kind: 'namespace'; readonly path: string }
  /** Of its own, with a program beside it that makes its packets connections of the host. */
  | { readonly kind: 'user'; readonly program: 'pasta' | 'slirp4netns'; readonly ports: readonly PortRequest[] }
  /** Of its own, on these networks: eth0, eth1 ... */
  | {
      readonly kind: 'networks'
      readonly networks: readonly (EndpointOptions & { readonly name: string })[]
      readonly ports: readonly PortRequest[]
    }

/** Is it joined, and not made for who has it? */
export function isAnothers(mode: NetworkMode): mode is Extract<NetworkMode, { kind: 'container' | 'namespace' }> {
  return typeof mode === 'object' && (mode.kind === 'container' || mode.kind === 'namespace')
}

export interface NetworkModeOptions {
  readonly network?: string | readonly string[]
  readonly ports?: readonly PortOption[]
  readonly networkAliases?: readonly string[]
  readonly ip?: string
  readonly ip6?: string
  readonly mac?: string
}

/** What a container's network is that names none. */
export type DefaultNetwork = 'bridge' | 'pasta'

/** Names of networks, as `networks.create` takes them. */
const networkName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
const aliasName = /^[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$/

/**
 * @param otherwise what holds where no network is named
 * @returns the mode, and all that is wrong with it
 */
export function parseNetworkMode(
  given: NetworkModeOptions,
  otherwise: DefaultNetwork,
): { mode: NetworkMode; faults: Fault[] } {
  const faults: Fault[] = []
  const network = given.network ?? otherwise
  const options = { ...given, network }
  const mode = parseMode(network, faults)
  if (typeof mode === 'object' && mode.kind === 'networks')
    return { mode: withPlace(mode.networks, options, faults), faults }
  if (typeof mode === 'object' && mode.kind === 'user') {
    const ports = parsePorts(options.ports ?? [])
    faults.push(...ports.faults, ...ineffective(['networkAliases', 'ip', 'ip6', 'mac'], mode, options))
    return { mode: { ...mode, ports: ports.requests }, faults }
  }
  faults.push(...ineffective(['ports', 'networkAliases', 'ip', 'ip6', 'mac'], mode, options))
  return { mode, faults }
}

/** Options that are given and have no effect with this mode. */
function ineffective(
  keys: readonly (keyof NetworkModeOptions)[],
  mode: NetworkMode,
  options: NetworkModeOptions & Required<Pick<NetworkModeOptions, 'network'>>,
): Fault[] {
  return keys.flatMap((key) => {
    const value = options[key]
    if (value === undefined || (Array.isArray(value) && value.length === 0)) return []
    const hint = mode === 'none' ? "; give network: 'bridge'" : ''
    return [{ path: key, message: `has no effect with network: ${show(options.network)}${hint}` }]
  })
}

function parseMode(network: string | readonly string[], faults: Fault[]): NetworkMode {
  if (typeof network !== 'string') return { kind: 'networks', networks: networkList(network, faults), ports: [] }
  if (network === 'none' || network === 'host') return network
  if (network === 'pasta' || network === 'slirp4netns') return { kind: 'user', program: network, ports: [] }
  const [kind, rest] = [network.slice(0, network.indexOf(':')), network.slice(network.indexOf(':') + 1)]
  if (kind === 'container') {
    if (rest === '') faults.push({ path: 'network', message: "must be 'container:NAME', got 'container:'" })
    return { kind: 'container', container: rest }
  }
  if (kind === 'ns') {
    if (!rest.startsWith('/'))
      faults.push({ path: 'network', message: `must be 'ns:' and an absolute path, got ${show(network)}` })
    return { kind: 'namespace', path: rest }
  }
  return { kind: 'networks', networks: networkList([network], faults), ports: [] }
}

function networkList(names: readonly string[], faults: Fault[]): { name: string }[] {
  if (names.length === 0) faults.push({ path: 'network', message: "must name a network; 'none' is for none" })
  const seen = new Set<string>()
  return names.map((given, index) => {
    const name = given === 'bridge' ? defaultNetwork : given
    const path = names.length === 1 ? 'network' : `network[${String(index)}]`
    if (!networkName.test(name)) {
      const words = "'none', 'host', 'container:NAME', 'ns:PATH' or the name of a network"
      faults.push({ path, message: `must be ${words}, got ${show(given)}` })
    } else if (names.length > 1 && (name === 'none' || name === 'host')) {
      faults.push({ path, message: `must be the name of a network, as there are several, got ${show(given)}` })
    } else if (seen.has(name)) {
      faults.push({ path, message: `is given twice: ${show(given)}` })
    }
    seen.add(name)
    return { name }
  })
}

/** Addresses and aliases; the addresses are for the one network there is, or the first. */
function withPlace(networks: readonly { name: string }[], options: NetworkModeOptions, faults: Fault[]): NetworkMode {
  const { ip, ip6, networkAliases: aliases = [] } = options
  const mac = options.mac === undefined ? undefined : parseMac(options.mac)
  addressFault('ip', ip, 4, faults)
  addressFault('ip6', ip6, 6, faults)
  if (options.mac !== undefined && mac === undefined) {
    faults.push({
      path: 'mac',
      message: `must be the MAC address of one link, such as '02:00:00:00:00:01', got ${show(options.mac)}`,
    })
  }
  aliases.forEach((alias, index) => {
    if (alias.length > 63 || !aliasName.test(alias)) {
      faults.push({ path: `networkAliases[${String(index)}]`, message: `must be a host name, got ${show(alias)}` })
    }
  })
  const ports = parsePorts(options.ports ?? [])
  faults.push(...ports.faults)
  const first = {
    ...(ip === undefined ? {} : { ip }),
    ...(ip6 === undefined ? {} : { ip6 }),
    ...(mac === undefined ? {} : { mac }),
  }
  return {
    kind: 'networks',
    networks: networks.map(({ name }, index) => ({ name, ...(index === 0 ? first : {}), aliases })),
    ports: ports.requests,
  }
}

function addressFault(path: string, text: string | undefined, family: Family, faults: Fault[]): void {
  if (text === undefined || parseAddress(text)?.family === family) return
  faults.push({ path, message: `must be an IPv${String(family)} address, got ${show(text)}` })
}
