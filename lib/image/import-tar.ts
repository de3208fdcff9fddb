/** `import`: the tar of a plain root file system becomes an image of one layer. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { PodlingError } from '../errors.js'
import type { BlobStore } from './blob-store.js'
import type { Compression } from './media-types.js'
import { encodeImageDocument, type ImageConfigInput } from './image-config-input.js'
import { composeImage, type ImageParts } from './image-parts.js'
import { hostPlatform, type Platform } from './platform.js'
import { abortable, openSource, sniff, sourceFailure, unpacked, type ArchiveSource } from './source.js'

export interface ImportContext {
  readonly store: BlobStore
  /** What containers made from it do. @default {} */
  readonly config?: ImageConfigInput | undefined
  /** @default the machine's */
  readonly platform?: Platform | undefined
  /** Canonical names for it. @default [] */
  readonly names?: readonly string[] | undefined
  /** The time that the image says it was made. @default now */
  readonly created?: Date | undefined
  /** What its history says. @default 'imported' */
  readonly comment?: string | undefined
  /** Bytes of the tar unpacked, at most: else a bomb would be unpacked to its end for its digest. @default no limit */
  readonly maxBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Store a root file system as an image. Its tar is kept as it comes, plain, gzip'd or zstd'd; of a packed one
 * both digests, packed and unpacked, are taken. Whether it is a sound tar shows when the layer is applied.
 * @throws {PodlingError} ARCHIVE_INVALID, LAYER_TOO_LARGE, INVALID_OPTION, DISK_FULL, ABORTED
 */
export async function importTar(source: ArchiveSource, context: ImportContext): Promise<ImageParts> {
  const { store, signal, config = {}, platform = hostPlatform(), names = [], created = new Date() } = context
  const opened = await openSource(source, 'import')
  const { what } = opened
  try {
    const { bytes, head, compression } = await sniff(opened)
    if (head.byteLength === 0) throw new PodlingError('ARCHIVE_INVALID', `${what}: is empty`)
    const layer = await store.ingest(abortable(bytes, what, signal))
    const diffId =
      compression === 'none'
        ? layer.digest
        : await unpackedDigest(store.path(layer.digest), compression, what, context.maxBytes)
    const history = [
      { created: created.toISOString(), created_by: 'podling import', comment: context.comment ?? 'imported' },
    ]
    const document = encodeImageDocument({ config, platform, created, diffIds: [diffId], history })
    return await composeImage(store, document, [{ ...layer, compression }], names, what)
  } catch (error) {
    throw sourceFailure(what, error, signal)
  } finally {
    await opened.close()
  }
}

async function unpackedDigest(
  path: string,
  compression: Compression,
  what: string,
  maxBytes = Infinity,
): Promise<string> {
  const hash = createHash('sha256')
  let bytes = 0
  const packed = createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>
  for await (const chunk of unpacked(packed, compression, what)) {
    bytes += chunk.length
    if (bytes > maxBytes)
      throw new PodlingError('LAYER_TOO_LARGE', `${what}: has more than ${String(maxBytes)} bytes uncompressed`)
    hash.update(chunk)
  }
  return `sha256:${hash.digest('hex')}`
}
