/**
 * The metrics, as data: what each is called, what it means, and how it is read off a snapshot. Named as
 * prometheus-podman-exporter's, with `podling_` in front, and by Prometheus' own rules (units in the name, base units,
 * `_total` for what only grows). Pure.
 */
import type { ContainerStatus } from '../../container/status.js'
import type { Snapshot } from './snapshot.js'

export interface Value {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter'
  readonly labels: readonly string[]
  readonly values: (snapshot: Snapshot) => readonly Value[]
}

/** The numbers of prometheus-podman-exporter. */
const states: Readonly<Record<ContainerStatus, number>> = {
  created: 0,
  running: 2,
  paused: 4,
  exited: 5,
  removed: 6,
  stopping: 7,
  restarting: 8,
}

const healthStates = { healthy: 0, unhealthy: 1, starting: 2 } as const
const healthWords = Object.entries(healthStates)
  .map(([state, number]) => `${String(number)}=${state}`)
  .join(', ')

const ID = ['id', 'name'] as const

type Inspected = Snapshot['containers'][number]
type Measured = Snapshot['stats'][number]

type Maker<T> = (type: Family['type'], name: string, help: string, read: (of: T) => number | undefined) => Family

/** What makes a metric that each of some containers has, or has not. */
function ofEach<T extends { readonly id: string; readonly name: string }>(
  some: (snapshot: Snapshot) => readonly T[],
): Maker<T> {
  return (type, name, help, read) => ({
    type,
    name: `podling_container_${name}`,
    help,
    labels: ID,
    values: (snapshot) =>
      some(snapshot).flatMap((one) => {
        const value = read(one)
        return value === undefined ? [] : [{ labels: { id: one.id, name: one.name }, value }]
      }),
  })
}

const ofContainers = ofEach<Inspected>(({ containers }) => containers)
/** Of those that run, where this machine counts it. */
const ofStats = ofEach<Measured>(({ stats }) => stats)

function ofInterfaces(
  name: string,
  help: string,
  read: (link: NonNullable<Measured['network']>[number]) => number,
): Family {
  return {
    type: 'counter',
    name: `podling_container_${name}`,
    help,
    labels: [...ID, 'interface'],
    values: ({ stats }) =>
      stats.flatMap(({ id, name: container, network = [] }) =>
        network.map((link) => ({ labels: { id, name: container, interface: link.name }, value: read(link) })),
      ),
  }
}

function counts(name: string, help: string, count: (snapshot: Snapshot) => number): Family {
  return {
    type: 'gauge',
    name: `podling_${name}`,
    help,
    labels: [],
    values: (all) => [{ labels: {}, value: count(all) }],
  }
}

const seconds = (time: Date | undefined): number | undefined => (time === undefined ? undefined : time.getTime() / 1000)
const NANO = 1e9

export const families: readonly Family[] = [
  {
    type: 'gauge',
    name: 'podling_container_info',
    help: 'A container and the image that it was made of.',
    labels: [...ID, 'image', 'image_id', 'pod_id'],
    values: ({ containers }) =>
      containers.map(({ id, name, image, pod }) => ({
        labels: { id, name, image: image?.name ?? '', image_id: image?.id ?? '', pod_id: pod ?? '' },
        value: 1,
      })),
  },
  ofContainers(
    'gauge',
    'state',
    `State of a container: ${Object.entries(states)
      .map(([name, number]) => `${String(number)}=${name}`)
      .join(', ')}.`,
    ({ state }) => states[state.status],
  ),
  ofContainers('gauge', 'created_seconds', 'When it was made, in seconds since the epoch.', ({ createdAt }) =>
    seconds(createdAt),
  ),
  ofContainers('gauge', 'started_seconds', 'When its present run began, in seconds since the epoch.', ({ state }) =>
    seconds(state.startedAt),
  ),
  ofContainers('gauge', 'exited_seconds', 'When its last run ended, in seconds since the epoch.', ({ state }) =>
    seconds(state.exit?.finishedAt),
  ),
  ofContainers('gauge', 'health', `Health of a container that has checks: ${healthWords}.`, ({ health }) =>
    health === undefined ? undefined : healthStates[health.status],
  ),
  ofContainers('gauge', 'exit_code', 'The exit code of its last run.', ({ state }) => state.exit?.exitCode),
  ofContainers(
    'counter',
    'restarts_total',
    'How often its restart policy has started it again.',
    ({ state }) => state.restartCount,
  ),
  ofStats('gauge', 'pids', 'Its processes and threads.', ({ pids }) => pids?.current),
  ofStats('counter', 'cpu_seconds_total', 'Processor time, in seconds.', ({ cpu }) => cpu.usage / NANO),
  ofStats(
    'counter',
    'cpu_system_seconds_total',
    'Processor time in the kernel, in seconds.',
    ({ cpu }) => cpu.system / NANO,
  ),
  ofStats(
    'counter',
    'cpu_throttled_seconds_total',
    'How long it had to wait for its quota, in seconds.',
    ({ cpu }) => cpu.throttledTime / NANO,
  ),
  ofStats(
    'gauge',
    'memory_usage_bytes',
    'Memory charged to it, the file cache included.',
    ({ memory }) => memory?.usage,
  ),
  ofStats('gauge', 'memory_cache_bytes', 'The part of its memory that is file cache.', ({ memory }) => memory?.cache),
  ofStats('gauge', 'memory_limit_bytes', 'The limit of its memory, where it has one.', ({ memory }) => memory?.limit),
  ofStats(
    'counter',
    'oom_kills_total',
    'Processes of it that the kernel killed for want of memory.',
    ({ memory }) => memory?.oomKills,
  ),
  ofStats('counter', 'block_read_bytes_total', 'Bytes read from disks.', ({ io }) => io?.readBytes),
  ofStats('counter', 'block_written_bytes_total', 'Bytes written to disks.', ({ io }) => io?.writeBytes),
  ofInterfaces(
    'network_received_bytes_total',
    'Bytes that a link of it received.',
    ({ receivedBytes }) => receivedBytes,
  ),
  ofInterfaces('network_sent_bytes_total', 'Bytes that a link of it sent.', ({ sentBytes }) => sentBytes),
  {
    type: 'gauge',
    name: 'podling_containers',
    help: 'Containers by their state.',
    labels: ['state'],
    values: ({ containers }) =>
      Object.keys(states).map((state) => ({
        labels: { state },
        value: containers.filter((container) => container.state.status === state).length,
      })),
  },
  {
    type: 'gauge',
    name: 'podling_pod_info',
    help: 'A pod and its state.',
    labels: ['id', 'name', 'state'],
    values: ({ pods }) => pods.map(({ id, name, status }) => ({ labels: { id, name, state: status }, value: 1 })),
  },
  counts('pods', 'Pods.', ({ pods }) => pods.length),
  counts('images', 'Images.', ({ images }) => images.length),
  counts('volumes', 'Volumes.', ({ volumes }) => volumes.length),
  counts('networks', 'Networks.', ({ networks }) => networks.length),
  {
    type: 'gauge',
    name: 'podling_image_size_bytes',
    help: 'What an image takes up on disk, the part that others share included.',
    labels: ['id', 'name'],
    values: ({ images }) =>
      images.map(({ id, names, space }) => ({ labels: { id, name: names[0] ?? '' }, value: space.own + space.shared })),
  },
  {
    type: 'gauge',
    name: 'podling_volume_info',
    help: 'A volume and its driver.',
    labels: ['name', 'driver'],
    values: ({ volumes }) => volumes.map(({ name, driver }) => ({ labels: { name, driver }, value: 1 })),
  },
  {
    type: 'gauge',
    name: 'podling_network_info',
    help: 'A network and its driver.',
    labels: ['id', 'name', 'driver'],
    values: ({ networks }) => networks.map(({ id, name, driver }) => ({ labels: { id, name, driver }, value: 1 })),
  },
]
