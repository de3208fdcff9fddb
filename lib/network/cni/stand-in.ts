/**
 * What a network namespace must have to be shown to plugins in the place of one that is gone with its container. Some undo
 * what they made on the host by the addresses that they find inside, whatever the cached result says: without a namespace,
 * the masquerading rules of the plugin `bridge` would stay for ever. Pure.
 */
import { macFor, parseCidr } from '../address.js'
import type { NetworkOperation } from '../attachment.js'
import { encode, flags, type Request } from '../netlink/message.js'
import { newBridge } from '../netlink/links.js'
import { newAddress } from '../netlink/addresses.js'
import { endpointFrom } from './endpoint.js'
import type { CniResult } from './result.js'

/** Where a new namespace's own links never come to. */
const index = 100

/** A link of the container's name with its addresses. @param result of its ADD, as far as that came */
export function standInOperations(result: CniResult, ifname: string): NetworkOperation[] {
  const { addresses, mac } = endpointFrom(result, { network: '', ifname, aliases: [] })
  const blocks = [...new Set(addresses)].flatMap((text) => parseCidr(text) ?? [])
  // A bridge is a link like any other, and of a kind that this kernel has.
  const link = newBridge({ name: ifname, mac: mac === '' ? macFor(Buffer.of(0, 0, 0, 0)) : mac, index })
  const requests = [link, ...blocks.map((block) => newAddress(index, block))]
  return [{ op: 'netlink', what: `make a link in the place of ${ifname}`, messages: requests.map(acknowledged) }]
}

function acknowledged(request: Request): Buffer {
  return encode({ ...request, flags: request.flags | flags.request | flags.ack })
}
