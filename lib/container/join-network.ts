/** The network of a container at its start: what it joins, or what is made for it. */
import { close } from '../sys/descriptors.js'
import { PodlingError } from '../errors.js'
import type { Spec, SpecNamespaceType } from '../launch/oci-spec.js'
import type { Attachment } from '../network/attachment.js'
import { isAnothers } from '../network/mode.js'
import type { ContainerContext } from './context.js'
import { isHolder } from './find-pod.js'
import type { Lifecycle } from './lifecycle.js'
import { Monitor } from '../launch/monitor.js'
import { containerPaths, type ContainerRecord } from './record.js'

/** A message may carry 253 descriptors (unix(7), SCM_MAX_FD), and the launch has some of its own. */
const mostHeld = 240

/** The spec with the path of the network namespace that the container is to be in, where it is another's. */
export async function withNetworkPath(container: Lifecycle): Promise<Spec> {
  const { spec, record } = container
  const { network } = record.options
  if (!isAnothers(network)) return spec
  const path = network.kind === 'namespace' ? network.path : await namespaceOf(container, network.container, 'network')
  return withPath(spec, 'network', path)
}

/** The same of its user namespace, where that is another's. */
export async function withUsersPath(container: Lifecycle, spec: Spec): Promise<Spec> {
  const { usersOf } = container.record
  return usersOf === undefined ? spec : withPath(spec, 'user', await namespaceOf(container, usersOf, 'user namespace'))
}

function withPath(spec: Spec, type: SpecNamespaceType, path: string): Spec {
  const namespaces = (spec.linux?.namespaces ?? []).map((one) => (one.type === type ? { ...one, path } : one))
  return { ...spec, linux: { ...spec.linux, namespaces } }
}

const namespaceFiles = { network: 'net', 'user namespace': 'user' } as const

/**
 * @param what is to be joined
 * @param own the id of who joins, which is no other
 * @throws PodlingError `CONTAINER_NOT_FOUND`
 */
export function otherContainer(
  { names, records }: Pick<ContainerContext, 'names' | 'records'>,
  name: string,
  what: string,
  own?: string,
): ContainerRecord {
  const id = names.get(name) ?? name
  const other = records.get(id) ?? [...records.entries()].find(([key]) => id.length >= 12 && key.startsWith(id))?.[1]
  if (other !== undefined && other.id !== own) return other
  throw new PodlingError(
    'CONTAINER_NOT_FOUND',
    `join the ${what} of container ${name}: no other container has this name or id on this root`,
  )
}

async function namespaceOf(
  { context, record }: Lifecycle,
  name: string,
  kind: keyof typeof namespaceFiles,
): Promise<string> {
  const what = `join the ${kind} of container ${name}`
  const { root, runRoot } = context
  const other = otherContainer(context, name, kind, record.id)
  let monitor: Monitor
  try {
    monitor = await Monitor.connect(containerPaths(root, runRoot, other.id, other.options.detach).socket)
  } catch (error) {
    throw new PodlingError('INVALID_STATE', `${what}: it doesn't run; start it first`, { cause: error })
  }
  try {
    return `/proc/${String(monitor.pid)}/ns/${namespaceFiles[kind]}`
  } finally {
    monitor.close()
  }
}

/** Addresses and ports, where the container is on networks. */
export async function attach({ context, record }: Lifecycle): Promise<Attachment | undefined> {
  const { network } = record.options
  if (typeof network === 'string' || network.kind !== 'networks') return undefined
  // The namespace of its last run goes with the last of its containers, and the kernel takes its time over that.
  if (isHolder(record)) context.networks.unlink(record.id, [...network.networks.keys()])
  return context.networks.attach({
    container: record.id,
    name: record.name,
    networks: network.networks,
    ports: network.ports,
  })
}

/** The sockets that the monitor keeps; of more than it can be given, the firewall's elements keep the ports. */
export function givenToMonitor(attachment: Attachment | undefined): number[] {
  const held = attachment?.held ?? []
  for (const fd of held.slice(mostHeld)) close(fd)
  return held.slice(0, mostHeld)
}
