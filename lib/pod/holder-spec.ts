/** A pod as the record and the OCI runtime spec of the process that holds it: no image, no program, nothing to see. Pure. */
import { constants } from 'node:os'
import { ociVersion } from '../container/generate-spec.js'
import { cgroupOf, namespaceTypes } from '../container/pod-place.js'
import type { HolderRecord } from '../container/find-pod.js'
import type { KeptUser } from '../container/userns/choice.js'
import type { Spec, SpecMount } from '../launch/oci-spec.js'
import { isAnothers } from '../network/mode.js'
import type { NormalizedPodOptions } from './parse-options.js'

export interface HolderInput {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly createdAt: number
  /** Where its root is mounted, in its own mount namespace. */
  readonly rootPath: string
  readonly cgroupParent: string
}

/** @param kept see {@link HolderRecord} */
export function holderRecord(input: HolderInput, options: NormalizedPodOptions, kept?: KeptUser): HolderRecord {
  const { id, name, owner, createdAt } = input
  const { share, exitPolicy, resources, labels, detach, network, extraHosts, dns, dnsSearch, dnsOptions } = options
  const holds = { share, exitPolicy, resources, ...(kept === undefined ? {} : { kept }) }
  return {
    id,
    name,
    owner,
    createdAt,
    options: {
      labels,
      detach,
      init: false,
      stdin: false,
      stdinOnce: false,
      log: noLog,
      stopTimeout: 10_000,
      stopSignal: constants.signals.SIGTERM,
      network,
      extraHosts,
      ...(options.hostGateway === undefined ? {} : { hostGateway: options.hostGateway }),
      dns,
      dnsSearch,
      dnsOptions,
      ...(options.userns === undefined ? {} : { userns: options.userns.mode }),
    },
    spec: holderSpec(input, options, cgroupOf({ id, holds })),
    holds,
  }
}

function holderSpec(
  { name, rootPath, cgroupParent }: HolderInput,
  options: NormalizedPodOptions,
  cgroup: string,
): Spec {
  const { share, network, hostname, sysctls, shmSize, userns } = options
  const namespaces = share
    .filter((one) => !(one === 'net' && network === 'host'))
    .map((one) => ({ type: namespaceTypes[one] }))
  const own = share.includes('net') && network !== 'host' && !isAnothers(network)
  return {
    ociVersion,
    root: { path: rootPath, readonly: true },
    ...(share.includes('uts') ? { hostname: hostname ?? asHostname(name) } : {}),
    mounts: [proc, ...(share.includes('ipc') ? [sharedMemory(shmSize)] : [])],
    linux: {
      namespaces: [...(userns === undefined ? [] : [{ type: 'user' } as const]), ...namespaces, { type: 'mount' }],
      cgroupsPath: `/${cgroupParent}/${cgroup}`,
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      // Every group may send pings, as in containers that have a network of their own (icmp(7)).
      sysctl: { ...(own ? { 'net.ipv4.ping_group_range': '0 0' } : {}), ...sysctls },
    },
  }
}

const noLog = {
  driver: 'none',
  path: undefined,
  maxSize: undefined,
  maxFiles: 1,
  tag: undefined,
  onFull: 'continue',
} as const

/** Names may be longer than the kernel lets a host name be. */
function asHostname(name: string): string {
  return name.slice(0, 64).replace(/[^a-zA-Z0-9]+$/, '')
}

/** By which its network is set up. */
const proc: SpecMount = { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] }

/** The POSIX shared memory of all its containers. */
function sharedMemory(size = 64 * 2 ** 20): SpecMount {
  return {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${String(size)}`],
  }
}
