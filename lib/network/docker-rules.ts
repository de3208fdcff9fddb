/**
 * The one place where another program's table is written to. Docker gives the FORWARD chain of iptables the policy DROP,
 * which no rule of another table can undo, and has the chain DOCKER-USER for those who want something let through. Where
 * that chain is (in the tables of iptables-nft), each bridge gets two rules in it, which iptables(8) can show, and loses
 * them with its end. They come behind the user's own rules, so that what those drop is left dropped.
 */
import type { HostNetwork } from './host-network.js'
import { equal, meta, register, verdict } from './netlink/expressions.js'
import { paddedText } from './netlink/message.js'
import {
  batch,
  deleteRule,
  getChain,
  getRules,
  newRule,
  parseRule,
  type Rule,
  type TableName,
} from './netlink/nftables.js'
import { NetlinkError } from './netlink/socket.js'

const chain = 'DOCKER-USER'
const tables: readonly TableName[] = [
  { family: 'ip', name: 'filter' },
  { family: 'ip6', name: 'filter' },
]

function commentFor(bridge: string): string {
  return `Podling ${bridge}`
}

/** The rules of the chain; undefined where there is none. */
function rulesIn(host: HostNetwork, table: TableName): Rule[] | undefined {
  try {
    // A list of the rules of a chain that isn't there is an empty one, so the chain is asked for first.
    host.netfilter.request(getChain(table, chain), `look for the chain ${chain}`)
    return host.netfilter.dump(getRules(table, chain), `list the chain ${chain}`).map(parseRule)
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === 'ENOENT') return undefined
    throw error
  }
}

/** Let Docker's firewall pass what goes to and from a bridge, unless it does already. */
export function letDockerForward(host: HostNetwork, bridge: string): void {
  const comment = commentFor(bridge)
  for (const table of tables) {
    const rules = rulesIn(host, table)
    if (rules === undefined || rules.some((rule) => rule.comment === comment)) continue
    const name = paddedText(bridge, 16)
    // Behind what the user has put there; Docker ends the chain with a return, after which nothing is looked at.
    const last = rules.at(-1)
    const before = last?.returns ? last.handle : undefined
    const accepting = (['iifname', 'oifname'] as const).map((key) =>
      newRule(table, chain, [meta(key, register(0)), equal(register(0), name), verdict('accept')], {
        before,
        comment,
      }),
    )
    host.netfilter.batch(batch(accepting), `let Docker's firewall pass the bridge ${bridge}`)
  }
}

export function stopLettingDockerForward(host: HostNetwork, bridge: string): void {
  const comment = commentFor(bridge)
  for (const table of tables) {
    const ours = (rulesIn(host, table) ?? []).filter((rule) => rule.comment === comment)
    if (ours.length === 0) continue
    const requests = ours.map(({ handle }) => deleteRule(table, chain, handle))
    host.netfilter.batch(batch(requests), `take the bridge ${bridge} out of Docker's firewall`)
  }
}
