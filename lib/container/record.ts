import type { Spec } from '../launch/oci-spec.js'
import type { Table } from '../storage/database.js'
import type { NormalizedOptions } from './normalized-options.js'

/** The options that matter after the creation; all others are in the spec. */
export type StoredOptions = Pick<
  NormalizedOptions,
  'labels' | 'detach' | 'init' | 'logDriver' | 'stopTimeout' | 'network' | 'extraHosts' | 'dns'
> & {
  /** A signal's number. */
  readonly stopSignal: number
}

/** What the database keeps of a container: all that was decided, nothing that the kernel knows better. */
export interface ContainerRecord {
  readonly id: string
  readonly name: string
  /** The runtime instance that made it; its lock tells whether that host lives. */
  readonly owner: string
  readonly createdAt: number
  readonly image?: { readonly id: string; readonly name: string }
  readonly chainId?: string
  readonly options: StoredOptions
  /** Without its seccomp rules. */
  readonly spec: Spec
  /** The key of the rules in the {@link SeccompStore}. */
  readonly seccomp?: string
}

/** Where a container's files are. */
export interface ContainerPaths {
  /** Kept across reboots: the log, the last exit record, the etc files. */
  readonly directory: string
  readonly log: string
  readonly exitFile: string
  readonly hosts: string
  readonly resolvConf: string
  readonly hostname: string
  /** Gone with a reboot, as what it stands for is: the monitor's socket and the lock of a start. */
  readonly runDirectory: string
  /** What it has of networks, while it runs. */
  readonly network: string
  readonly socket: string
  readonly lock: string
}

export function containerPaths(root: string, runRoot: string, id: string): ContainerPaths {
  const directory = `${root}/containers/${id}`
  // Half an id is unique enough, and keeps the socket's path below the 108 bytes of sockaddr_un (unix(7)).
  const runDirectory = `${runRoot}/c/${id.slice(0, 32)}`
  return {
    directory,
    log: `${directory}/ctr.log`,
    exitFile: `${directory}/exit`,
    hosts: `${directory}/hosts`,
    resolvConf: `${directory}/resolv.conf`,
    hostname: `${directory}/hostname`,
    runDirectory,
    network: `${runDirectory}/network.json`,
    socket: `${runDirectory}/monitor.sock`,
    lock: `${runDirectory}/lock`,
  }
}

/** The names of the containers that were made from an image. */
export function containersOf(records: Table<ContainerRecord>, imageId: string): string[] {
  return [...records.entries()].filter(([, { image }]) => image?.id === imageId).map(([, { name }]) => name)
}
