/**
 * The bridge that the plugin `bridge` makes and nobody removes. One that was not there before is taken for our own, by its
 * alias, and goes with the network; one that was there is somebody else's.
 */
import type { HostNetwork } from '../host-network.js'
import { deleteLink, setAlias } from '../netlink/links.js'
import { NetlinkError } from '../netlink/socket.js'
import { aliasOf, type NetworkRecord } from '../network-record.js'
import type { CniNetwork } from './config.js'

/** Its name, also where the configuration leaves it to the plugin. */
export function bridgeOf({ plugins }: CniNetwork): string | undefined {
  const plugin = plugins.find(({ type }) => type === 'bridge')
  if (plugin === undefined) return undefined
  const { bridge } = plugin
  return typeof bridge === 'string' && bridge !== '' ? bridge : 'cni0'
}

/** Take a link for that of a network, unless it is somebody's. One that plugins did not come to make is none. */
export function adoptLink(host: HostNetwork, name: string, record: NetworkRecord): void {
  const link = host.link(name)
  if (link === undefined || link.alias !== undefined) return
  host.route.request(setAlias(link.index, aliasOf(record)), `name the link ${name}`)
}

export function removeMadeLink(host: HostNetwork, network: CniNetwork, record: NetworkRecord): void {
  const name = bridgeOf(network)
  if (name === undefined || host.link(name)?.alias !== aliasOf(record)) return
  try {
    host.route.request(deleteLink({ name }), `remove the link ${name}`)
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno !== 'ENODEV') throw error
  }
}
