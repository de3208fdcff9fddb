/** Give back what nobody uses. */
import { stat } from 'node:fs/promises'
import type { Containers } from '../container/containers.js'
import type { ContainerContext } from '../container/context.js'
import { durationWords, parseDuration, type Duration } from '../schema/quantities.js'
import { PodlingError } from '../errors.js'
import type { Pods } from '../pod/pods.js'
import { checkKnown } from '../schema/known-options.js'
import { show } from '../schema/faults.js'
import { treeSize } from '../storage/copy/tree-size.js'
import { hasLabels } from '../schema/labels.js'

export interface PruneOptions {
  /** Containers that have ended; those of a pod go with the pod. @default true */
  readonly containers?: boolean
  /** Pods that have run and of which nothing runs, with their containers. @default true */
  readonly pods?: boolean
  /** Images without a name that no container uses; `'all'`: those with a name, too. @default true */
  readonly images?: boolean | 'all'
  /** Volumes that no container uses: the anonymous ones; `'all'`: named ones, too. @default false */
  readonly volumes?: boolean | 'all'
  /** Only what fits all of these. */
  readonly filters?: PruneFilters
}

export interface PruneFilters {
  /** Made before this time, or so long ago. Images by the time that they say of themselves. */
  readonly until?: Date | Duration
  /** Has these labels: `'key'` or `'key=value'`. */
  readonly label?: string | readonly string[]
}

/** What was removed, and the bytes that it gave back. */
export interface PruneReport {
  readonly containers: readonly { readonly id: string; readonly name: string; readonly bytes: number }[]
  readonly pods: readonly { readonly id: string; readonly name: string; readonly bytes: number }[]
  readonly images: readonly { readonly id: string; readonly names: readonly string[]; readonly bytes: number }[]
  readonly volumes: readonly { readonly name: string; readonly bytes: number }[]
  /** Of all of it. */
  readonly bytes: number
}

/** Pods and containers first: then their images and volumes are free. */
export async function prune(
  context: ContainerContext,
  containers: Containers,
  pods: Pods,
  options: PruneOptions,
): Promise<PruneReport> {
  const fits = parseFilters(options)
  const removed = {
    pods: options.pods === false ? [] : await prunePods(pods, fits),
    containers: options.containers === false ? [] : await pruneContainers(containers, fits),
    images: options.images === false ? [] : await pruneImages(context, options.images === 'all', fits),
    volumes: options.volumes ? await pruneVolumes(context, options.volumes === 'all', fits) : [],
  }
  const bytes = Object.values(removed).reduce((sum, list) => list.reduce((total, one) => total + one.bytes, sum), 0)
  return { ...removed, bytes }
}

type Fits = (thing: { readonly createdAt: Date; readonly labels: Readonly<Record<string, string>> }) => boolean

function parseFilters(options: PruneOptions): Fits {
  checkKnown('prune', options, { containers: true, pods: true, images: true, volumes: true, filters: true })
  for (const name of ['containers', 'pods', 'images', 'volumes'] as const) {
    const value: unknown = options[name]
    const words = name === 'containers' || name === 'pods' ? [true, false] : [true, false, 'all']
    if (value === undefined || words.includes(value as boolean)) continue
    throw new PodlingError(
      'INVALID_OPTION',
      `prune: ${name}: must be ${words.map(show).join(', ')}, got ${show(value)}`,
    )
  }
  const { filters = {} } = options
  checkKnown('prune: filters', filters, { until: true, label: true })
  const { until, label } = filters
  const before = until === undefined ? Infinity : until instanceof Date ? until.getTime() : Date.now() - duration(until)
  return (thing) => thing.createdAt.getTime() < before && hasLabels(thing.labels, label)
}

function duration(given: Duration): number {
  const value = parseDuration(given)
  if (value !== undefined) return value
  throw new PodlingError(
    'INVALID_OPTION',
    `prune: filters.until: must be a Date, or ${durationWords}, got ${show(given)}`,
  )
}

async function pruneContainers(containers: Containers, fits: Fits): Promise<PruneReport['containers']> {
  const removed: { id: string; name: string; bytes: number }[] = []
  for (const container of await containers.list({ status: 'exited' })) {
    const { id, name, labels } = container
    if (container.pod !== undefined) continue
    if (!fits({ createdAt: container.inspect().createdAt, labels })) continue
    const bytes = await container.space().then(({ own }) => own, unlessGone)
    // Started or removed by somebody meanwhile: then it is not ours to take.
    const gone = await container.remove().then(() => true, unlessGone)
    if (gone) removed.push({ id, name, bytes: bytes ?? 0 })
  }
  return removed
}

async function prunePods(pods: Pods, fits: Fits): Promise<PruneReport['pods']> {
  const removed: { id: string; name: string; bytes: number }[] = []
  for (const pod of await pods.list({ status: ['exited', 'stopped'] })) {
    const { id, name, labels } = pod
    if (!fits({ createdAt: pod.inspect().createdAt, labels })) continue
    const sizes = pod.containers.map((container) => container.space().then(({ own }) => own, unlessGone))
    const bytes = (await Promise.all(sizes)).reduce<number>((sum, own) => sum + (own ?? 0), 0)
    const gone = await pod.remove().then(() => true, unlessGone)
    if (gone) removed.push({ id, name, bytes })
  }
  return removed
}

async function pruneImages(
  { images, records }: ContainerContext,
  all: boolean,
  fits: Fits,
): Promise<PruneReport['images']> {
  const removed: { id: string; names: readonly string[]; bytes: number }[] = []
  const used = new Set([...records.entries()].map(([, { image }]) => image?.id))
  for (const { id } of await images.list()) {
    // What it shares with those before is its own when these are gone.
    const image = await images.get(id).catch(unlessGone)
    if (image === undefined || used.has(id) || (!all && image.names.length > 0)) continue
    if (!fits({ createdAt: image.created ?? new Date(0), labels: image.config.labels })) continue
    const bytes = image.space.own
    const gone = await images.remove(image).then(() => true, unlessGone)
    if (gone) removed.push({ id, names: image.names, bytes })
  }
  return removed
}

async function pruneVolumes(
  { volumes, openCopier }: ContainerContext,
  all: boolean,
  fits: Fits,
): Promise<PruneReport['volumes']> {
  const removed: { name: string; bytes: number }[] = []
  for (const volume of await volumes.list({ dangling: true, ...(all ? {} : { anonymous: true }) })) {
    if (!fits(volume)) continue
    const { name } = volume
    const bytes = await measure(openCopier, volume.encrypted ? volumes.use.encryptedStore(name) : volume.path)
    const gone = await volumes.remove(name).then(() => true, unlessGone)
    if (gone) removed.push({ name, bytes })
  }
  return removed
}

/** Of a file what it takes on the disk: one that is a file system has holes. */
async function measure(openCopier: ContainerContext['openCopier'], path: string | undefined): Promise<number> {
  const found = path === undefined ? undefined : await stat(path).catch(() => undefined)
  if (path === undefined || found === undefined) return 0
  return found.isDirectory() ? treeSize(openCopier, path) : found.blocks * 512
}

/** What somebody uses or has removed meanwhile stays out of it. */
function unlessGone(error: unknown): undefined {
  const passed: readonly string[] = [
    'INVALID_STATE', 'IMAGE_IN_USE', 'IMAGE_NOT_FOUND', 'CONTAINER_NOT_FOUND', 'VOLUME_IN_USE', 'VOLUME_NOT_FOUND',
    'POD_NOT_FOUND',
  ] // prettier-ignore
  if (error instanceof PodlingError && passed.includes(error.code)) return undefined
  throw error
}
