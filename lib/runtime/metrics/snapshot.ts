import type { Container } from '../../container/container.js'
import type { ContainerInspect } from '../../container/inspect.js'
import type { ContainerStats } from '../../container/stats/stats.js'
import { PodlingError } from '../../errors.js'
import type { Pod } from '../../pod/pod.js'
import type { Network } from '../../network/network-record.js'
import type { Image } from '../../storage/image.js'
import type { Volume } from '../../storage/volumes/volume.js'

/** All that the metrics are made of, at one moment. */
export interface Snapshot {
  readonly containers: readonly ContainerInspect[]
  /** Of those that run. */
  readonly stats: readonly ContainerStats[]
  readonly images: readonly Image[]
  readonly volumes: readonly Volume[]
  readonly networks: readonly Network[]
  readonly pods: readonly Pod[]
}

/** What a snapshot is taken of: the parts of a runtime. */
export interface Watched {
  readonly containers: { list(): Promise<Container[]>; stats(): Promise<ContainerStats[]> }
  readonly images: { list(): Promise<Image[]> }
  readonly volumes: { list(): Promise<Volume[]> }
  readonly networks: { list(): Promise<Network[]> }
  readonly pods: { list(): Promise<Pod[]> }
}

export async function takeSnapshot({ containers, images, volumes, networks, pods }: Watched): Promise<Snapshot> {
  const [listed, stats, ...others] = await Promise.all([
    containers.list(),
    containers.stats().catch(withoutCgroups),
    images.list(),
    volumes.list(),
    networks.list(),
    pods.list(),
  ])
  return {
    containers: listed.map((container) => container.inspect()),
    stats,
    images: others[0],
    volumes: others[1],
    networks: others[2],
    pods: others[3],
  }
}

/** Of an ordinary user's containers that have none, all else is counted. */
function withoutCgroups(error: unknown): ContainerStats[] {
  if (error instanceof PodlingError && error.code === 'CGROUP_UNAVAILABLE') return []
  throw error
}
