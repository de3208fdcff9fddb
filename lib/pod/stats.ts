/** What a pod uses as a whole, and each of its containers. */
import { PodlingError } from '../errors.js'
import { Container } from '../container/container.js'
import { sampleAll } from '../container/stats/follow.js'
import type { ContainerStats } from '../container/stats/stats.js'
import { liveMembersOf, podRecord, type PodParts } from './members.js'

/** What a pod uses, at one moment: all of it together as if it were one container, and each of those. */
export interface PodStats extends ContainerStats {
  readonly containers: readonly ContainerStats[]
}

export async function podStats(parts: PodParts, id: string): Promise<PodStats> {
  const { context, containers } = parts
  const record = podRecord(parts, id)
  const holder = containers.handle(record)
  await holder.refresh()
  const { monitor } = Container.lifecycleOf(holder)
  if (monitor === undefined) {
    throw new PodlingError('INVALID_STATE', `stats of pod ${record.name}: it doesn't run. Call start() first.`)
  }
  const onHostNetwork = record.options.network === 'host' || !record.holds.share.includes('net')
  const { stats } = context.sampler.sample({ id, name: record.name, cgroup: id, monitor, onHostNetwork })
  const members = await liveMembersOf(parts, id)
  const each = members.map(({ container }) => Container.lifecycleOf(container))
  return { ...stats, containers: await sampleAll(context.sampler, each) }
}
