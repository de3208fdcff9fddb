/** Names and layers of a container in the making, which nobody else is to take. */
import { PodlingError } from '../errors.js'
import type { VolumeClaim } from '../storage/volumes/volume-records.js'
import type { ContainerContext } from './context.js'
import { findPod, requireKept } from './find-pod.js'
import { randomName } from './names.js'
import { imagesOf, type ContainerRecord } from './record.js'

/** One that is neither taken nor about to be by this process; another process may be at the same one, see `Containers`. */
export function freeName({ names, comingNames }: ContainerContext): string {
  for (let attempt = 0; ; attempt++) {
    const name = randomName(attempt)
    if (!comingNames.has(name) && names.get(name) === undefined) return name
  }
}

/** Containers and pods have their names together. @throws PodlingError `NAME_IN_USE` */
export function checkFree({ names, records }: ContainerContext, { name, holds }: ContainerRecord): void {
  const holder = names.get(name)
  if (holder === undefined) return
  const kind = (held: unknown): string => (held === undefined ? 'container' : 'pod')
  throw new PodlingError(
    'NAME_IN_USE',
    `create ${kind(holds)} ${name}: the name is taken by ${kind(records.get(holder)?.holds)} ${holder.slice(0, 12)}; remove that one first or choose another name`,
  )
}

/** Take the name, hold the layers and volumes, write the record: all or nothing. */
export function reserve(context: ContainerContext, record: ContainerRecord, claims: readonly VolumeClaim[]): void {
  const { id, name, chainId, image, seccomp, pod } = record
  checkFree(context, record)
  if (pod !== undefined) requireKept(findPod(context, pod.id), 'make a container in')
  if (chainId !== undefined && !context.layers.has(chainId)) {
    throw new PodlingError(
      'IMAGE_NOT_FOUND',
      `create container ${name}: its image ${image?.name ?? ''} was removed meanwhile; get it again`,
    )
  }
  if (seccomp !== undefined) context.seccomp.keep(seccomp)
  context.volumes.use.claim(id, claims)
  void context.names.put(name, id)
  void context.records.put(id, record)
  if (chainId !== undefined) void context.layers.reference(chainId, `container:${id}`)
  for (const mounted of imagesOf(record)) {
    if (mounted.chainId === undefined) continue
    if (!context.layers.has(mounted.chainId)) {
      throw new PodlingError('IMAGE_NOT_FOUND', `create container ${name}: image ${mounted.id} was removed meanwhile`)
    }
    void context.layers.reference(mounted.chainId, `container:${mounted.holder}`)
  }
}
