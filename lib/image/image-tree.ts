/**
 * What hangs on a manifest or an index, read for carrying it whole: an index may hold platforms that Podling can't run,
 * attestations and whatever else, all of which go along as they are.
 */
import { PodlingError } from '../errors.js'
import type { BlobStore } from './blob-store.js'
import { maxDocumentBytes, parseJson } from './json.js'
import { guessType, readDescriptor, type Descriptor } from './manifest.js'
import { isForeignLayer } from './media-types.js'

/** A manifest or index with all that it points to. */
export interface ImageTree {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
  /** The manifests of an index. */
  readonly children: readonly ImageTree[]
  /** The blobs of a manifest: its config first. */
  readonly blobs: readonly Descriptor[]
}

const maxDepth = 4

/** Where the documents of a tree come from. */
export type ReadDocument = (descriptor: Descriptor) => Promise<Buffer>

/**
 * Read a tree, document by document.
 * @throws {PodlingError} IMAGE_INVALID, SIZE_MISMATCH for a document that is not as large as what points to it says
 */
export async function readTree(top: Descriptor, read: ReadDocument, what: string, depth = 1): Promise<ImageTree> {
  if (depth > maxDepth) {
    throw new PodlingError('IMAGE_INVALID', `${what}: indexes are nested more than ${String(maxDepth)} deep`)
  }
  const bytes = await read(top)
  if (bytes.length !== top.size) {
    throw new PodlingError(
      'SIZE_MISMATCH',
      `${what}: ${String(top.size)} bytes are announced for ${top.digest}, but it has ${String(bytes.length)}`,
    )
  }
  const document = parseJson(bytes, `${what}: manifest ${top.digest}`)
  const children: ImageTree[] = []
  for (const entry of document.get('manifests').list(1000)) {
    children.push(await readTree(readDescriptor(entry), read, what, depth + 1))
  }
  const config = document.get('config')
  const layers = [...document.get('layers').list(500), ...document.get('blobs').list(500)]
  const blobs = [...(config.present ? [config] : []), ...layers].map(readDescriptor)
  return { descriptor: top, bytes, children, blobs }
}

/** The descriptor of a manifest or index that is in the store. */
export async function describe(store: BlobStore, digest: string, what: string): Promise<Descriptor> {
  const bytes = await store.read(digest, maxDocumentBytes)
  const document = parseJson(bytes, `${what}: manifest ${digest}`)
  const mediaType = document.get('mediaType').optionalString() ?? guessType(document, undefined)
  return { mediaType, digest, size: bytes.length }
}

/** A tree out of the store. @throws {PodlingError} BLOB_NOT_FOUND when a part of it is not here */
export async function storedTree(store: BlobStore, digest: string, what: string): Promise<ImageTree> {
  return readTree(await describe(store, digest, what), ({ digest: one }) => store.read(one, maxDocumentBytes), what)
}

/** All documents and blobs of a tree, each once: what is pointed to before what points to it. */
export function flattenTree(tree: ImageTree): { trees: ImageTree[]; blobs: Descriptor[] } {
  const trees = new Map<string, ImageTree>()
  const blobs = new Map<string, Descriptor>()
  const visit = (one: ImageTree): void => {
    for (const child of one.children) visit(child)
    for (const blob of one.blobs) blobs.set(blob.digest, blob)
    trees.set(one.descriptor.digest, one)
  }
  visit(tree)
  return { trees: [...trees.values()], blobs: [...blobs.values()] }
}

/** The blobs of a tree that are in the store. Of those that need not be, foreign layers, some may be missing. */
export async function blobsHere(store: BlobStore, blobs: readonly Descriptor[], what: string): Promise<Descriptor[]> {
  const here: Descriptor[] = []
  for (const blob of blobs) {
    if (await store.has(blob.digest)) here.push(blob)
    else if (!isForeignLayer(blob.mediaType)) {
      throw new PodlingError('BLOB_NOT_FOUND', `${what}: the blob ${blob.digest} is not here any more; pull it again`)
    }
  }
  return here
}
