/** A reference becomes an image in the blob store: resolve, choose the platform, fetch config and layers. */
import { PodlingError } from '../errors.js'
import type { BlobStore } from './blob-store.js'
import { Arrivals, type LayerArrivals } from './arrivals.js'
import type { ArrivingBlob } from './blob-growth.js'
import { downloadBlob, type DownloadContext } from './download.js'
import type { Fetcher } from './fetcher.js'
import { parseImageDocument } from './image-config.js'
import { checkParts, type ImageParts } from './image-parts.js'
import { describe, flattenTree, readTree } from './image-tree.js'
import { maxDocumentBytes } from './json.js'
import { isForeignLayer } from './media-types.js'
import { parseManifest, type Descriptor, type IndexEntry, type LayerDescriptor, type Manifest } from './manifest.js'
import { forEachParallel } from './parallel.js'
import { formatPlatform, hostPlatform, platformFit, selectPlatform, type Platform } from './platform.js'
import type { OnProgress } from './progress.js'
import { formatReference, type Reference } from './reference.js'

export interface PullContext {
  readonly fetcher: Fetcher
  readonly store: BlobStore
  /** @default the machine's */
  readonly platform?: Platform | undefined
  /** The name that it gets, when it comes from a mirror. @default the reference */
  readonly name?: Reference | undefined
  /** Of an index, bring the images of all platforms, and use that of `platform`. @default false */
  readonly allPlatforms?: boolean | undefined
  readonly onProgress?: OnProgress | undefined
  readonly signal?: AbortSignal | undefined
}

/** Connections at once; more bring nothing on one line and annoy registries. */
const parallelDownloads = 5
/** An index may point to an index; deeper nesting is somebody's trick. */
const maxIndexDepth = 3

/** What uses the layers while others are still on their way. */
export type Consume<T> = (
  parts: ImageParts,
  layers: LayerArrivals,
  /** Ends when a download fails or the caller cancels. */
  signal: AbortSignal,
) => Promise<T>

/**
 * Pull an image into the store, and let `consume` work with each layer as it comes. Blobs that a failed pull
 * brought stay there for the caller to sweep.
 * @throws {PodlingError} IMAGE_NOT_FOUND, PLATFORM_NOT_FOUND, MEDIA_TYPE_UNSUPPORTED, IMAGE_INVALID, DIGEST_MISMATCH,
 * SIZE_MISMATCH, REGISTRY_*, CREDENTIALS_INVALID, ABORTED
 */
export async function pullImage<T>(reference: Reference, context: PullContext, consume: Consume<T>): Promise<T> {
  const { fetcher, store, signal, onProgress } = context
  const name = formatReference(reference)
  const wanted = context.platform ?? hostPlatform()
  const { manifest, digest, indexes } = await resolve(reference, wanted, context)

  const download: DownloadContext = { fetcher, repository: reference.repository, store, onProgress }
  if (manifest.config.size > maxDocumentBytes) {
    throw new PodlingError(
      'IMAGE_INVALID',
      `${name}: its config has ${String(manifest.config.size)} bytes; at most ${String(maxDocumentBytes)} are read`,
    )
  }
  await downloadBlob(download, manifest.config, 'config', signal)
  const document = parseImageDocument(await store.read(manifest.config.digest, maxDocumentBytes), `config of ${name}`)
  checkParts(manifest, document, name)
  if (platformFit(wanted, document.platform) === 0) {
    throw new PodlingError(
      'PLATFORM_NOT_FOUND',
      `${name} has no image for ${formatPlatform(wanted)}; it has ${formatPlatform(document.platform)}: ` +
        `pass platform: '${formatPlatform(document.platform)}' to pull that`,
    )
  }
  const [index] = indexes
  const whole =
    context.allPlatforms && index !== undefined ? await downloadIndex(index, download, name, signal) : undefined
  // A tag beside a digest was not looked up, so it names nothing.
  const names = reference.digest === undefined ? [formatReference(context.name ?? reference)] : []
  return downloadBeside({ digest, indexes, manifest, document, names, whole }, download, signal, consume)
}

/** Bring all that hangs on an index. Foreign layers, which mostly are Windows', may stay where they are. */
async function downloadIndex(
  index: string,
  download: DownloadContext,
  name: string,
  signal: AbortSignal | undefined,
): Promise<{ index: string; blobs: string[] }> {
  const { fetcher, repository, store } = download
  const read = async ({ digest }: Descriptor): Promise<Buffer> => {
    if (await store.has(digest)) return store.read(digest, maxDocumentBytes)
    const { bytes } = await fetcher.manifest(repository, digest, signal)
    await store.put(bytes)
    return bytes
  }
  const { trees, blobs } = flattenTree(await readTree(await describe(store, index, name), read, name))
  const there = new Set(trees.map(({ descriptor }) => descriptor.digest))
  await forEachParallel(blobs, parallelDownloads, signal, async (blob, laneSignal) => {
    try {
      await downloadBlob(download, blob, 'layer', laneSignal)
      there.add(blob.digest)
    } catch (error) {
      const gone = error instanceof PodlingError && error.code === 'IMAGE_NOT_FOUND'
      if (!gone || !isForeignLayer(blob.mediaType)) throw error
    }
  })
  return { index, blobs: [...there] }
}

/** Download the layers, lowest first, and consume them. The first failure of either side ends both, and is thrown. */
async function downloadBeside<T>(
  parts: ImageParts,
  download: DownloadContext,
  signal: AbortSignal | undefined,
  consume: Consume<T>,
): Promise<T> {
  const layers = uniqueLayers(parts.manifest.layers)
  const arrivals = new Arrivals(layers.map(({ digest }) => digest))
  const ending = new AbortController()
  const joined = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal
  const failures: unknown[] = []
  const fail = (error: unknown): void => {
    failures.push(error)
    arrivals.fail(error)
    ending.abort(error)
  }
  const downloads = forEachParallel(layers, parallelDownloads, joined, async (layer, laneSignal) => {
    await downloadLayer(download, layer, laneSignal, (blob) => {
      arrivals.begin(layer.digest, blob)
    })
    arrivals.arrive(layer.digest)
  }).catch(fail)
  const consuming = consume(parts, arrivals, joined).catch(fail)
  await downloads
  const result = await consuming
  arrivals.close()
  if (failures.length > 0) throw failures[0]
  return result as T
}

/** From the reference to the manifest for the platform, through indexes. All documents on the way are stored. */
async function resolve(
  reference: Reference,
  wanted: Platform,
  { fetcher, store, signal, onProgress }: PullContext,
): Promise<{ manifest: Manifest; digest: string; indexes: string[] }> {
  const name = formatReference(reference)
  const indexes: string[] = []
  let target = reference.digest ?? reference.tag ?? 'latest'
  let entry: IndexEntry | undefined
  for (let depth = 0; depth < maxIndexDepth; depth += 1) {
    const { bytes, digest, mediaType } = await fetcher.manifest(reference.repository, target, signal)
    if (entry && entry.size !== bytes.byteLength) {
      throw new PodlingError(
        'SIZE_MISMATCH',
        `${name}: the index says ${String(entry.size)} bytes for ${digest}, but it has ${String(bytes.byteLength)}`,
      )
    }
    const document = parseManifest(bytes, `manifest of ${name}`, mediaType ?? entry?.mediaType)
    await store.put(bytes)
    onProgress?.({ digest, kind: 'manifest', phase: 'done', current: bytes.byteLength, total: bytes.byteLength })
    if (document.kind === 'manifest') return { manifest: document, digest, indexes }
    indexes.push(digest)
    entry = selectPlatform(document.manifests, wanted, name)
    target = entry.digest
  }
  throw new PodlingError('IMAGE_INVALID', `${name}: indexes are nested more than ${String(maxIndexDepth)} deep`)
}

/** Two equal layers are one blob. */
function uniqueLayers(layers: readonly LayerDescriptor[]): LayerDescriptor[] {
  return [...new Map(layers.map((layer) => [layer.digest, layer])).values()]
}

async function downloadLayer(
  context: DownloadContext,
  layer: LayerDescriptor,
  signal: AbortSignal,
  begin: (blob: ArrivingBlob) => void,
): Promise<void> {
  try {
    await downloadBlob(context, layer, 'layer', signal, begin)
  } catch (error) {
    // A foreign layer's `urls` are not followed: they would let any image send requests to any host from here.
    if (!(error instanceof PodlingError) || error.code !== 'IMAGE_NOT_FOUND' || !isForeignLayer(layer.mediaType))
      throw error
    throw new PodlingError(
      'IMAGE_NOT_FOUND',
      `${error.message}; it is a foreign layer, kept elsewhere by its publisher, and Podling fetches layers from the image's own registry only`,
      { cause: error },
    )
  }
}
