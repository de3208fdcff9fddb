/**
 * The files of a docker-archive (moby image/spec v1.2). Layers stand in it unpacked, under their diff ids, as Docker and
 * Podman write them: so the archive of an image is the same however its layers were packed on their way.
 */
import { createHash } from 'node:crypto'
import { PodlingError } from '../errors.js'
import { verifiedBytes } from './blob-bytes.js'
import type { BlobStore } from './blob-store.js'
import { storedCompression } from './docker-archive.js'
import { digestHex } from './digest.js'
import { parseImageDocument } from './image-config.js'
import { checkParts } from './image-parts.js'
import { maxDocumentBytes } from './json.js'
import { parseManifest, type LayerDescriptor } from './manifest.js'
import { documentMember, type SaveContext, type SavedImage, type SavedMember } from './save-types.js'
import { unpacked } from './source.js'

export async function* dockerMembers(
  images: readonly SavedImage[],
  context: SaveContext,
  what: string,
): AsyncGenerator<SavedMember> {
  const { store } = context
  const written = new Set<string>()
  const entries: object[] = []
  for (const { digest, names, plainSizes } of images) {
    const manifest = parseManifest(await store.read(digest, maxDocumentBytes), `${what}: manifest ${digest}`)
    if (manifest.kind === 'index') {
      throw new PodlingError(
        'INVALID_OPTION',
        `${what}: a docker-archive holds one platform alone; pass allPlatforms: false, or save as oci-archive`,
      )
    }
    const config = await store.read(manifest.config.digest, maxDocumentBytes)
    const { diffIds } = parseImageDocument(config, `${what}: config ${manifest.config.digest}`)
    checkParts(manifest, { diffIds }, what)
    for (const [position, layer] of manifest.layers.entries()) {
      const diffId = diffIds[position]!
      if (written.has(diffId)) continue
      written.add(diffId)
      yield await layerMember(layer, diffId, plainSizes?.get(diffId), context, what)
    }
    const configName = `${digestHex(manifest.config.digest)}.json`
    if (!written.has(configName)) yield documentMember(configName, config)
    written.add(configName)
    entries.push({ Config: configName, RepoTags: names, Layers: diffIds.map(layerName) })
  }
  yield documentMember('manifest.json', entries)
}

function layerName(diffId: string): string {
  return `${digestHex(diffId)}.tar`
}

async function layerMember(
  layer: LayerDescriptor,
  diffId: string,
  known: number | undefined,
  { store, onProgress }: SaveContext,
  what: string,
): Promise<SavedMember> {
  const { digest } = layer
  // The header of a member says how many bytes follow.
  let size = known ?? 0
  if (known === undefined) for await (const chunk of plainBytes(store, layer, what)) size += chunk.length
  const body = async function* (): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256')
    let current = 0
    for await (const chunk of plainBytes(store, layer, what)) {
      hash.update(chunk)
      current += chunk.length
      if (current > size) break
      onProgress?.({ digest, kind: 'layer', phase: 'copy', current, total: size })
      yield chunk
    }
    if (current === size && `sha256:${hash.digest('hex')}` === diffId) {
      onProgress?.({ digest, kind: 'layer', phase: 'done', current, total: size })
      return
    }
    throw new PodlingError(
      'DIGEST_MISMATCH',
      `${what}: the layer ${digest}, unpacked, is not the ${diffId} of its image`,
    )
  }
  return { name: layerName(diffId), size, body: body() }
}

async function* plainBytes(store: BlobStore, layer: LayerDescriptor, what: string): AsyncGenerator<Uint8Array> {
  if (!(await store.has(layer.digest))) {
    throw new PodlingError(
      'BLOB_NOT_FOUND',
      `${what}: the layer ${layer.digest} is not here any more; pull its image again`,
    )
  }
  const compression = await storedCompression(store, layer.digest)
  if (compression === 'xz' || compression === 'bzip2') {
    throw new PodlingError('MEDIA_TYPE_UNSUPPORTED', `${what}: the layer ${layer.digest} is packed with ${compression}`)
  }
  yield* unpacked(verifiedBytes(store, layer), compression, `${what}: the layer ${layer.digest}`)
}
