/** What it means for a container to be on networks: what is asked for, what it got, and what its launch has to do. */
import type { LinkMessage } from './netlink/container-links.js'
import type { Protocol } from './firewall-table.js'
import type { PortRequest } from './ports.js'

/** How a container is to be on one network. */
export interface EndpointOptions {
  /** A fixed IPv4 address. @default a free one */
  readonly ip?: string
  /** A fixed IPv6 address. @default a free one */
  readonly ip6?: string
  /** @default one made from the address */
  readonly mac?: string
  /** Further names by which others on the network find it. */
  readonly aliases?: readonly string[]
}

/** A container's place on one network. */
export interface Endpoint {
  readonly network: string
  /** The link's name in the container, `'eth0'`. */
  readonly interface: string
  readonly mac: string
  /** With the network's prefix, `'10.88.0.2/16'`. */
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
  readonly aliases: readonly string[]
  /** With CNI: the families whose default route leads through here. @default those of the gateways */
  readonly defaultRoutes?: readonly (4 | 6)[]
  /** What CNI plugins say for resolv.conf(5), where they do. */
  readonly dns?: EndpointDns
}

/** Name servers and the like of a network. */
export interface EndpointDns {
  readonly servers: readonly string[]
  readonly search: readonly string[]
  readonly options: readonly string[]
}

/** A port of the container that is reached by one of the host. */
export interface BoundPort {
  readonly container: number
  readonly protocol: Protocol
  /** The host's address; `'0.0.0.0'` and `'::'` stand for all. */
  readonly ip: string
  readonly host: number
}

/** What a running container has. */
export interface NetworkStatus {
  readonly endpoints: readonly Endpoint[]
  readonly ports: readonly BoundPort[]
}

export interface AttachRequest {
  /** The container's id, 64 hexadecimal digits. */
  readonly container: string
  /** Its name. */
  readonly name: string
  /** In this order they are eth0, eth1 ...; the first with a way out is the default route. */
  readonly networks: readonly (EndpointOptions & { readonly name: string })[]
  readonly ports: readonly PortRequest[]
}

/** A step of the new process in its own network namespace. Has the shape of a launch plan's operation. */
export type NetworkOperation =
  | {
      readonly op: 'netlink'
      /** For messages: `give eth0 its addresses`. */
      readonly what: string
      /** Sent in this order, each to be acknowledged. */
      readonly messages: readonly Uint8Array[]
    }
  | { readonly op: 'sysctl'; readonly key: string; readonly value: string }

/** What the launch of a container does for its networks. */
export interface NetworkLaunch {
  /** Sent in the host's network namespace once the new process has a pid. */
  readonly links: readonly LinkMessage[]
  /** Done by the new process. */
  readonly operations: readonly NetworkOperation[]
  /** Batches of nf_tables, sent in the host's network namespace when all of the container is dead. */
  readonly teardown: readonly Uint8Array[]
  /** Removes the links from the host's side; without it they go with the container's network namespace. */
  readonly unlinks: readonly Uint8Array[]
  /** The path of the network namespace that the monitor does all this in. @default the one that it is in */
  readonly space?: string
}

export interface Attachment {
  readonly status: NetworkStatus
  readonly launch: NetworkLaunch
  /** Descriptors of sockets that hold the published ports: to be closed by the caller, or given to the monitor. */
  readonly held: readonly number[]
  /**
   * What is left to do while the new process stands at its barrier. Its network namespace is at this path.
   * @returns all that the container has then
   * @throws CniError, PodlingError `INVALID_OPTION`; what was done here is undone then
   */
  readonly atBarrier?: (netns: string) => Promise<NetworkStatus>
}
