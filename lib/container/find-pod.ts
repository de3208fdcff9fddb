/** The pod that a container is to be made in. */
import { PodlingError } from '../errors.js'
import type { ContainerContext } from './context.js'
import type { ContainerOptions } from './options.js'
import type { PodFacts } from './parse-pod.js'
import type { HeldPod } from './pod-place.js'
import type { ContainerRecord } from './record.js'

/** The record of the process that holds a pod's namespaces. Its name and id are the pod's. */
export type HolderRecord = ContainerRecord & { readonly holds: HeldPod }

export function isHolder(record: ContainerRecord | undefined): record is HolderRecord {
  return record?.holds !== undefined
}

/**
 * @returns undefined where none is named, or what names it is no name at all
 * @throws PodlingError `POD_NOT_FOUND`, `INVALID_STATE` while it is being removed
 */
export function findPodFor(context: ContainerContext, given: ContainerOptions): HolderRecord | undefined {
  const pod: unknown = typeof given === 'object' ? (given as ContainerOptions | null)?.pod : undefined
  const id: unknown = typeof pod === 'object' ? (pod as { id?: unknown } | null)?.id : pod
  if (typeof id !== 'string' || id === '') return undefined
  const record = findPod(context, id)
  requireKept(record, 'make a container in')
  return record
}

/** By name, id or the beginning of an id. @throws PodlingError `POD_NOT_FOUND` */
export function findPod(
  { names, records }: Pick<ContainerContext, 'names' | 'records'>,
  idOrName: string,
): HolderRecord {
  const exact = records.get(names.get(idOrName) ?? idOrName)
  if (isHolder(exact)) return exact
  const fits = /^[0-9a-f]{3,64}$/.test(idOrName) ? [...records.entries(idOrName)].map(([, record]) => record) : []
  const pods = fits.filter(isHolder)
  const [first] = pods
  if (first !== undefined && pods.length === 1) return first
  const why =
    exact !== undefined
      ? 'it is the name of a container'
      : pods.length > 1
        ? `${String(pods.length)} ids begin so; give more of it`
        : 'no pod has this name or id on this root'
  throw new PodlingError('POD_NOT_FOUND', `find pod ${idOrName}: ${why}`)
}

/** @throws PodlingError `INVALID_STATE` */
export function requireKept({ name, holds }: HolderRecord, verb: string): void {
  if (holds.removing !== true) return
  throw new PodlingError('INVALID_STATE', `${verb} pod ${name}: it is being removed`)
}

/** What the options of its containers depend on. */
export function podFacts({ id, name, options, spec, holds }: HolderRecord): PodFacts {
  const { memory, cpu, pids } = holds.resources
  return {
    id,
    name,
    share: holds.share,
    network: options.network,
    hostname: spec.hostname ?? name,
    detach: options.detach,
    ...(options.userns === undefined ? {} : { userns: options.userns }),
    memory: memory?.limit,
    cpus: cpu?.quota === undefined ? undefined : cpu.quota / (cpu.period ?? 1),
    pidsLimit: pids?.limit,
  }
}
