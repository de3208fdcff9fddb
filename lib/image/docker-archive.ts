/** The format of `docker save` (moby image/spec v1.2): manifest.json names configs, tags and layer files. */
import { open } from 'node:fs/promises'
import { PodlingError } from '../errors.js'
import type { LoadContext, ReadArchive } from './load-context.js'
import type { BlobStore } from './blob-store.js'
import { detectCompression, magicLength } from './decompress.js'
import { sha256 } from './digest.js'
import { parseImageDocument } from './image-config.js'
import { composeImage, type ImageParts, type StoredLayer } from './image-parts.js'
import { maxDocumentBytes, parseJson } from './json.js'
import { formatPlatform, platformFit } from './platform.js'
import { formatReference, parseReference } from './reference.js'

interface DockerEntry {
  readonly config: string
  readonly names: readonly string[]
  readonly layers: readonly string[]
}

export async function loadDockerArchive(archive: ReadArchive, context: LoadContext): Promise<ImageParts[]> {
  const { what, documents } = archive
  const entries = readEntries(documents.get('manifest.json')!, what)
  if (entries.length === 0) throw new PodlingError('ARCHIVE_INVALID', `${what}: holds no image`)
  const images = new Map<string, ImageParts>()
  for (const entry of entries) {
    const image = await loadEntry(entry, archive, context)
    const names = [...new Set([...(images.get(image.digest)?.names ?? []), ...image.names])]
    images.set(image.digest, { ...image, names })
  }
  return [...images.values()]
}

/** The names that a manifest.json gives to each config, by the config's digest. */
export function dockerNames(bytes: Uint8Array, what: string): Map<string, string[]> {
  const names = new Map<string, string[]>()
  for (const entry of readEntries(bytes, what)) {
    const hex = /([0-9a-f]{64})(?:\.json)?$/.exec(entry.config)?.[1]
    if (hex !== undefined) names.set(`sha256:${hex}`, [...(names.get(`sha256:${hex}`) ?? []), ...entry.names])
  }
  return names
}

function readEntries(bytes: Uint8Array, what: string): DockerEntry[] {
  const document = parseJson(bytes, `${what}: manifest.json`, 'ARCHIVE_INVALID')
  return document.list(1000).map((entry) => ({
    config: entry.get('Config').string(),
    names: entry
      .get('RepoTags')
      .list(1000)
      .flatMap((tag) => {
        const text = tag.string()
        return text.includes('<none>') ? [] : [canonicalName(text, what)]
      }),
    layers: entry.get('Layers').strings(500),
  }))
}

function canonicalName(text: string, what: string): string {
  try {
    return formatReference(parseReference(text))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new PodlingError('ARCHIVE_INVALID', `${what}: manifest.json: RepoTags: ${reason}`, { cause })
  }
}

async function loadEntry(entry: DockerEntry, archive: ReadArchive, context: LoadContext): Promise<ImageParts> {
  const { what } = archive
  const { store, platform } = context
  const configBytes = await readConfig(entry.config, archive, store)
  const document = parseImageDocument(configBytes, `${what}: ${entry.config}`)
  if (platform && platformFit(platform, document.platform) === 0) {
    throw new PodlingError(
      'PLATFORM_NOT_FOUND',
      `${what} has no image for ${formatPlatform(platform)}; it has ${formatPlatform(document.platform)}`,
    )
  }
  const layers: StoredLayer[] = []
  for (const [position, name] of entry.layers.entries()) {
    layers.push(await findLayer(name, document.diffIds[position], archive, store))
  }
  return composeImage(store, configBytes, layers, entry.names, what)
}

async function readConfig(name: string, { documents, blob, what }: ReadArchive, store: BlobStore): Promise<Buffer> {
  const digest = blob(name)
  const bytes = documents.get(name) ?? (digest === undefined ? undefined : await store.read(digest, maxDocumentBytes))
  if (!bytes) throw new PodlingError('ARCHIVE_INVALID', `${what}: the config ${JSON.stringify(name)} is missing`)
  const hex = /^([0-9a-f]{64})\.json$/.exec(name)?.[1]
  if (hex !== undefined && sha256(bytes) !== `sha256:${hex}`) {
    throw new PodlingError(
      'DIGEST_MISMATCH',
      `${what}: the config ${name} has other bytes than its name says: ${sha256(bytes)}`,
    )
  }
  return bytes
}

async function findLayer(
  name: string,
  diffId: string | undefined,
  archive: ReadArchive,
  store: BlobStore,
): Promise<StoredLayer> {
  const { what } = archive
  const digest = archive.blob(name)
  if (digest === undefined) {
    throw new PodlingError(
      'ARCHIVE_INVALID',
      `${what}: the layer ${JSON.stringify(name)} is missing, or links out of the archive`,
    )
  }
  const compression = await storedCompression(store, digest)
  if (compression === 'bzip2' || compression === 'xz') {
    throw new PodlingError('MEDIA_TYPE_UNSUPPORTED', `${what}: the layer ${name} is packed with ${compression}`)
  }
  // A plain layer's digest is its diff id; of a packed one it shows when it is unpacked.
  if (compression === 'none' && diffId !== undefined && digest !== diffId) {
    throw new PodlingError('DIGEST_MISMATCH', `${what}: the layer ${name} has ${digest}, but the config says ${diffId}`)
  }
  return { digest, size: await store.size(digest), compression }
}

/** How a blob is really packed, whatever its media type says. */
export async function storedCompression(
  store: BlobStore,
  digest: string,
): Promise<ReturnType<typeof detectCompression>> {
  const file = await open(store.path(digest))
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(magicLength), 0, magicLength, 0)
    return detectCompression(buffer.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}
