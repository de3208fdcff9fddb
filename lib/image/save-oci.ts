/** The files of an OCI image layout (OCI image spec image-layout.md): every blob as it is. */
import { verifiedBytes } from './blob-bytes.js'
import { digestHex } from './digest.js'
import { blobsHere, flattenTree, storedTree } from './image-tree.js'
import type { Descriptor } from './manifest.js'
import { mediaTypes } from './media-types.js'
import type { ImageProgress } from './progress.js'
import { documentMember, type SaveContext, type SavedImage, type SavedMember } from './save-types.js'

/** All files, the index last: what stands before it can be checked against it. */
export async function* ociMembers(
  images: readonly SavedImage[],
  context: SaveContext,
  what: string,
): AsyncGenerator<SavedMember> {
  const { store } = context
  yield documentMember('oci-layout', { imageLayoutVersion: '1.0.0' })
  const written = new Set<string>()
  const entries: object[] = []
  for (const { digest, names } of images) {
    const tree = await storedTree(store, digest, what)
    const { trees, blobs } = flattenTree(tree)
    const manifests = trees.map(({ descriptor }) => descriptor)
    const kinds = new Map<string, ImageProgress['kind']>(blobs.map((blob) => [blob.digest, 'layer']))
    for (const { blobs: own } of trees) if (own[0]) kinds.set(own[0].digest, 'config')
    for (const blob of [...(await blobsHere(store, blobs, what)), ...manifests]) {
      if (written.has(blob.digest)) continue
      written.add(blob.digest)
      yield blobMember(blob, kinds.get(blob.digest) ?? 'manifest', context)
    }
    const { mediaType, size } = tree.descriptor
    for (const annotations of names.length === 0 ? [undefined] : names.map(nameAnnotations)) {
      entries.push({ mediaType, digest, size, ...(annotations ? { annotations } : {}) })
    }
  }
  yield documentMember('index.json', { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries })
}

/** Podman and skopeo look at the one, containerd and Docker at the other. */
function nameAnnotations(name: string): Record<string, string> {
  return { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name }
}

function blobMember(blob: Descriptor, kind: ImageProgress['kind'], { store, onProgress }: SaveContext): SavedMember {
  const { digest, size } = blob
  const body = async function* (): AsyncGenerator<Uint8Array> {
    let current = 0
    for await (const chunk of verifiedBytes(store, blob)) {
      current += chunk.length
      onProgress?.({ digest, kind, phase: 'copy', current, total: size })
      yield chunk
    }
    onProgress?.({ digest, kind, phase: 'done', current: size, total: size })
  }
  return { name: `blobs/sha256/${digestHex(digest)}`, size, body: body() }
}
