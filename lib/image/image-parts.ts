/** What an image is made of, once all its blobs are in the store. */
import { PodlingError } from '../errors.js'
import type { BlobStore } from './blob-store.js'
import { sha256 } from './digest.js'
import { parseImageDocument, type ImageDocument } from './image-config.js'
import { layerMediaType, mediaTypes, type Compression } from './media-types.js'
import { parseManifest, type LayerDescriptor, type Manifest } from './manifest.js'

export interface ImageParts {
  /** The digest of the manifest. */
  readonly digest: string
  /** Further digests that it was found by: of indexes. */
  readonly indexes: readonly string[]
  readonly manifest: Manifest
  /** The configuration, whose digest is the image's id. */
  readonly document: ImageDocument
  /** The index that was brought whole, and all that hangs on it. */
  readonly whole?: { readonly index: string; readonly blobs: readonly string[] } | undefined
  /** Names that its source gives it, as canonical references with a tag. */
  readonly names: readonly string[]
}

/**
 * Check that a manifest and its config belong together.
 * @throws {PodlingError} IMAGE_INVALID
 */
export function checkParts(manifest: Manifest, document: Pick<ImageDocument, 'diffIds'>, what: string): void {
  if (manifest.layers.length !== document.diffIds.length) {
    throw new PodlingError(
      'IMAGE_INVALID',
      `${what}: the manifest has ${String(manifest.layers.length)} layers, the config's rootfs.diff_ids ${String(document.diffIds.length)}`,
    )
  }
}

/** A layer that is in the store. */
export interface StoredLayer {
  readonly digest: string
  readonly size: number
  readonly compression: Compression
}

/** Make the manifest of an image that came without one, and put it and the config into the store. */
export async function composeImage(
  store: BlobStore,
  configBytes: Uint8Array,
  layers: readonly StoredLayer[],
  names: readonly string[],
  what: string,
): Promise<ImageParts> {
  const document = parseImageDocument(configBytes, `${what}: its config`)
  const config = await store.put(configBytes)
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, ...config },
      layers: layers.map(({ digest, size, compression }): Omit<LayerDescriptor, 'compression'> => {
        return { mediaType: layerMediaType(compression), digest, size }
      }),
    }),
  )
  const manifest = parseManifest(bytes, `${what}: its manifest`) as Manifest
  checkParts(manifest, document, what)
  await store.put(bytes)
  return { digest: sha256(bytes), indexes: [], manifest, document, names }
}
