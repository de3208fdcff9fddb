/**
 * The three files that a runtime gives every container, made as Podman makes them: /etc/hosts, /etc/resolv.conf and
 * /etc/hostname. Pure: what the host has comes in as text.
 */

/** What has the place of an address in extraHosts where the host is meant, as Podman and Docker have it. */
export const hostGateway = 'host-gateway'

export interface EtcHostsInput {
  readonly hostname: string
  /** An address may be {@link hostGateway}, where `gateway` is given. */
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[]
  /** Where it finds services of the host. @default nowhere */
  readonly gateway?: string | undefined
  /** The container's own addresses, which its host name stands for; the loopback ones where it has none. */
  readonly addresses: readonly string[]
  /** The text of the host's /etc/hosts, which a container on the host's network shares. */
  readonly base?: string
}

/** Podman's and Docker's names for the host. */
const hostNames = ['host.containers.internal', 'host.docker.internal']

/** hosts(5) */
export function etcHosts({ hostname, extraHosts, gateway, addresses, base }: EtcHostsInput): string {
  const lines = extraHosts.map(({ name, address }) => `${address === hostGateway ? (gateway ?? '') : address}\t${name}`)
  if (base === undefined) {
    lines.push('127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback')
  } else {
    lines.push(base.trimEnd())
  }
  const names = hostNames.filter((name) => !extraHosts.some((one) => one.name === name))
  if (gateway !== undefined && names.length > 0) lines.push(`${gateway}\t${names.join(' ')}`)
  for (const address of addresses.length > 0 ? addresses : ['127.0.0.1']) lines.push(`${address}\t${hostname}`)
  return `${lines.join('\n')}\n`
}

export interface ResolvConfInput {
  readonly servers: readonly string[]
  /** {@link noSearch} among them: none at all. */
  readonly search: readonly string[]
  readonly options: readonly string[]
  /** Domains that are searched before all others. @default none */
  readonly domains?: readonly string[]
  /** The text of the host's /etc/resolv.conf; what the caller doesn't set is taken from it. */
  readonly base: string | undefined
}

/** As `podman run --dns-search=.` has it: the root of all names, in which nothing need be searched. */
export const noSearch = '.'

/** resolv.conf(5) */
export function resolvConf({ servers, search, options, domains = [], base }: ResolvConfInput): string {
  const host = parseResolvConf(base ?? '')
  const used = {
    servers: servers.length > 0 ? servers : host.servers,
    search: search.length > 0 ? search : host.search,
    options: options.length > 0 ? options : host.options,
  }
  const lines = []
  // A host says it, too, where it has no domain (systemd-resolved does); beside others, some resolvers make `web..` of it.
  const searched = search.includes(noSearch) ? [] : [...domains, ...used.search.filter((domain) => domain !== noSearch)]
  if (searched.length > 0) lines.push(`search ${searched.join(' ')}`)
  for (const server of used.servers) lines.push(`nameserver ${server}`)
  if (used.options.length > 0) lines.push(`options ${used.options.join(' ')}`)
  return lines.map((line) => `${line}\n`).join('')
}

function parseResolvConf(text: string): { servers: string[]; search: string[]; options: string[] } {
  const result = { servers: [] as string[], search: [] as string[], options: [] as string[] }
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver' && words[0] !== undefined) result.servers.push(words[0])
    // The last of `search` and `domain` wins, as the resolver has it.
    else if (keyword === 'search' || keyword === 'domain') result.search = words
    else if (keyword === 'options') result.options.push(...words)
  }
  return result
}
