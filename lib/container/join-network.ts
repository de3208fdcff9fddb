/** The network of a container at its start: what it joins, or what is made for it. */
import { close } from '../sys/libc.js'
import { PodlingError } from '../errors.js'
import type { Spec } from '../launch/oci-spec.js'
import type { Attachment } from '../network/attachment.js'
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
  if (typeof network === 'string' || !('container' in network || 'path' in network)) return spec
  const path = network.kind === 'namespace' ? network.path : await namespaceOf(container, network.container)
  const namespaces = (spec.linux?.namespaces ?? []).map((one) => (one.type === 'network' ? { ...one, path } : one))
  return { ...spec, linux: { ...spec.linux, namespaces } }
}

/** @throws PodlingError `CONTAINER_NOT_FOUND` */
export function otherContainer(
  { names, records }: ContainerContext,
  record: ContainerRecord,
  name: string,
): ContainerRecord {
  const id = names.get(name) ?? name
  const other = records.get(id) ?? [...records.entries()].find(([key]) => id.length >= 12 && key.startsWith(id))?.[1]
  if (other !== undefined && other.id !== record.id) return other
  throw new PodlingError(
    'CONTAINER_NOT_FOUND',
    `join the network of container ${name}: no other container has this name or id on this root`,
  )
}

async function namespaceOf({ context, record }: Lifecycle, name: string): Promise<string> {
  const what = `join the network of container ${name}`
  const { root, runRoot } = context
  const other = otherContainer(context, record, name)
  let monitor: Monitor
  try {
    monitor = await Monitor.connect(containerPaths(root, runRoot, other.id, other.options.detach).socket)
  } catch (error) {
    throw new PodlingError('INVALID_STATE', `${what}: it doesn't run; start it first`, { cause: error })
  }
  try {
    return `/proc/${String(monitor.pid)}/ns/net`
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
