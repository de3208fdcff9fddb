/** Where a container or a pod is on the network, in the words of podman-run(1). Pure. */
import { defaultNetwork } from '../../network/network-record.js'
import type { PortOption } from '../../network/ports.js'
import type { GivenOptions } from '../record.js'
import type { Entry, Section } from './entry.js'

export type NetworkGiven = Pick<GivenOptions, 'network' | 'networkAliases' | 'ip' | 'ip6' | 'mac'>

/** The networks among what `network` says, by their names. */
export function networkNames(network: GivenOptions['network']): string[] {
  const all = network === undefined ? [] : typeof network === 'string' ? [network] : network
  return all.filter((name) => !isMode(name) && !isDefault(name))
}

export function networkEntries(section: Section, given: NetworkGiven): Entry[] {
  const { networkAliases = [], ip, ip6, mac } = given
  const all = given.network === undefined ? [] : typeof given.network === 'string' ? [given.network] : given.network
  const places = [
    ...(ip === undefined ? [] : [`ip=${ip}`]),
    ...(ip6 === undefined ? [] : [`ip6=${ip6}`]),
    ...(mac === undefined ? [] : [`mac=${mac}`]),
  ]
  // With several networks Podman has no flags for addresses: it takes them with the network that they are of.
  const several = all.length > 1
  const lines = all
    .filter((name) => several || !isDefault(name))
    .filter((name) => name !== 'pod')
    .map((name, index) => {
      const known = isDefault(name) ? 'podman' : isMode(name) ? name : `${name}.network`
      const place = several && index === 0 && places.length > 0 ? `:${places.join(',')}` : ''
      return section.line('Network', 'network', `${known}${place}`)
    })
  return [
    ...lines,
    ...networkAliases.map((alias) => section.line('NetworkAlias', 'network-alias', alias)),
    ...(several || ip === undefined ? [] : [section.line('IP', 'ip', ip)]),
    ...(several || ip6 === undefined ? [] : [section.line('IP6', 'ip6', ip6)]),
    ...(several || mac === undefined ? [] : [section.flag('mac-address', mac)]),
  ]
}

export function portText(port: PortOption): string {
  if (typeof port !== 'object') return String(port)
  const { container, host, ip, protocol } = port
  const address = ip === undefined ? '' : `${ip.includes(':') ? `[${ip}]` : ip}:`
  const outer = host === undefined || host === 0 ? '' : String(host)
  const inner = `${String(container)}${protocol === undefined ? '' : `/${protocol}`}`
  return address === '' && outer === '' ? inner : `${address}${outer}:${inner}`
}

function isMode(name: string): boolean {
  return ['none', 'host', 'pod', 'pasta', 'slirp4netns'].includes(name) || name.includes(':')
}

function isDefault(name: string): boolean {
  return name === 'bridge' || name === defaultNetwork
}
