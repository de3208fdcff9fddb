/** Images that go out: which manifest is meant, under which name, and what the registry may have of it already. */
import { PodlingError } from '../errors.js'
import { pullScope, pushScope } from '../image/authenticate.js'
import { chainIds } from '../image/digest.js'
import type { ImagePolicy } from '../image/policy/image-policy.js'
import { pushImage } from '../image/push.js'
import { formatReference, parseReference, type Reference } from '../image/reference.js'
import { RegistryUploads } from '../image/registry-upload.js'
import { saveImages, type SaveDestination } from '../image/save.js'
import type { SavedImage } from '../image/save-types.js'
import type { ContentStore } from './content.js'
import type { ImageIndex } from './image-index.js'
import { tagName } from './image-names.js'
import type { PushOptions, PushResult, SaveOptions } from './image-options.js'
import type { ImageRecord } from './image.js'
import { registryOptions } from './registry-access.js'

export interface PublishParts {
  readonly content: ContentStore
  readonly index: ImageIndex
  readonly authFiles?: readonly string[] | undefined
  readonly policy: ImagePolicy
  /** Bytes of a layer unpacked, by chain id, where they are known. */
  readonly plainSize?: ((chainId: string) => number | undefined) | undefined
}

/** Push an image to its registry. @throws {PodlingError} as `Images.push` */
export async function pushRecord(
  record: ImageRecord,
  name: string | undefined,
  options: PushOptions,
  { content: store, index, authFiles, policy }: PublishParts,
): Promise<PushResult> {
  const reference = parseReference(targetName(record, name, options.to))
  const { registry, repository } = reference
  const digest = manifestOf(record, options.allPlatforms, `push ${formatReference(reference)}`)
  const neighbours = neighboursIn(reference, record, index)
  const from = [...new Set([...neighbours.values()].flat())]
  const { signal, onProgress, auth } = options
  const insecure = options.insecure ?? (await policy.forPush(formatReference(reference))).insecure
  const uploads = new RegistryUploads(registry, {
    ...(await registryOptions(registry, { insecure, auth, signal }, policy, authFiles)),
    scopes: () => [pushScope(repository), ...from.map(pullScope)],
  })
  try {
    const context = { uploads, store, signal, onProgress, neighbours: (blob: string) => neighbours.get(blob) ?? [] }
    await pushImage(digest, reference, context)
  } finally {
    uploads.close()
  }
  return { name: formatReference(reference), digest }
}

/** An image to save, with the names that it gets there. */
export interface SavedRecord {
  readonly record: ImageRecord
  readonly names: readonly string[]
}

/** Save images. @throws {PodlingError} as `Images.save` */
export async function saveRecords(
  records: readonly SavedRecord[],
  destination: SaveDestination,
  options: SaveOptions,
  { content: store, plainSize }: PublishParts,
): Promise<void> {
  const { format = 'oci-archive', signal, onProgress } = options
  const all = options.allPlatforms ?? (format === 'docker-archive' ? false : undefined)
  const images = new Map<string, SavedImage>()
  for (const { record, names } of records) {
    const digest = manifestOf(record, all, 'save')
    const chain = chainIds(record.layers.map(({ diffId }) => diffId))
    const sizes = record.layers.flatMap(({ diffId }, position) => {
      const size = plainSize?.(chain[position]!)
      return size === undefined ? [] : [[diffId, size] as const]
    })
    const others = images.get(digest)?.names ?? []
    images.set(digest, { digest, names: [...new Set([...others, ...names])], plainSizes: new Map(sizes) })
  }
  await saveImages([...images.values()], destination, format, { store, signal, onProgress })
}

/**
 * The digest of what goes out: the index with all platforms, where it is here, or the manifest alone.
 * @throws {PodlingError} PLATFORM_NOT_FOUND
 */
export function manifestOf(record: ImageRecord, allPlatforms: boolean | undefined, what: string): string {
  if (allPlatforms === false) return record.digest
  if (allPlatforms && record.index === undefined) {
    throw new PodlingError(
      'PLATFORM_NOT_FOUND',
      `${what}: of this image one platform is here; pull or load it with allPlatforms: true`,
    )
  }
  return record.index ?? record.digest
}

function targetName(record: ImageRecord, name: string | undefined, to: string | undefined): string {
  if (to !== undefined) return tagName(to)
  if (name !== undefined) return name
  const [only, ...others] = record.names
  if (only !== undefined && others.length === 0) return only
  const why = only === undefined ? 'the image has no name' : `the image has several names (${record.names.join(', ')})`
  throw new PodlingError('INVALID_OPTION', `push image ${record.id}: ${why}; say where to: { to: 'registry/name:tag' }`)
}

/** Tokens for more repositories than this make long requests, and gain little. */
const mostNeighbours = 5

/** For each blob the repositories of the same registry that, by the names of the images here, may have it. */
function neighboursIn(
  { registry, repository }: Reference,
  record: ImageRecord,
  index: ImageIndex,
): Map<string, string[]> {
  const found = new Map<string, string[]>()
  const used = new Set<string>()
  const wanted = new Set(record.blobs)
  for (const other of index.list()) {
    const blobs = other.blobs.filter((digest) => wanted.has(digest))
    if (blobs.length === 0) continue
    for (const { registry: theirs, repository: from } of other.names.map(parseReference)) {
      if (theirs !== registry || from === repository || (!used.has(from) && used.size === mostNeighbours)) continue
      used.add(from)
      for (const digest of blobs) {
        const others = found.get(digest) ?? []
        if (!others.includes(from)) found.set(digest, [...others, from])
      }
    }
  }
  return found
}
