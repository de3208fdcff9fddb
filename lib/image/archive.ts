/**
 * Image archives: `load`. An archive is read once, front to back: blobs stream into the store as they come, the few
 * documents are kept in memory, and what it all means is decided at the end.
 */
import { stat } from 'node:fs/promises'
import { PodlingError } from '../errors.js'
import { linkTarget, memberName, tarMembers, type Member } from './archive-tar.js'
import type { BlobStore } from './blob-store.js'
import { sha256 } from './digest.js'
import { loadDockerArchive } from './docker-archive.js'
import type { LoadContext, ReadArchive } from './load-context.js'
import type { ImageParts } from './image-parts.js'
import { maxDocumentBytes } from './json.js'
import { loadLayout } from './oci-layout.js'
import { openLayoutDirectory } from './oci-layout-directory.js'
import { throwIfAborted } from './progress.js'
import { abortable, openSource, sniff, sourceFailure, unpacked, type ArchiveSource } from './source.js'

/** All documents of an archive together may have this many bytes in memory. */
const maxDocumentsBytes = 64 * 1024 * 1024

/**
 * Load the images of an oci-archive, a docker-archive (each also gzip'd or zstd'd) or an OCI layout directory into the
 * store. Blobs that a failed load brought stay there for the caller to sweep.
 * @throws {PodlingError} ARCHIVE_INVALID, DIGEST_MISMATCH, SIZE_MISMATCH, IMAGE_INVALID, MEDIA_TYPE_UNSUPPORTED,
 * PLATFORM_NOT_FOUND, LAYER_TOO_LARGE, DISK_FULL, ABORTED
 */
export async function loadImages(source: ArchiveSource, context: LoadContext): Promise<ImageParts[]> {
  if (typeof source === 'string' && (await isDirectory(source))) {
    await context.admit?.('oci')
    const layout = await openLayoutDirectory(source, context)
    return loadLayout(layout, context)
  }
  const opened = await openSource(source, 'load')
  const { what } = opened
  try {
    const { bytes, head, compression } = await sniff(opened)
    if (head.byteLength === 0) throw new PodlingError('ARCHIVE_INVALID', `${what}: is empty`)
    const archive = await readArchive(unpacked(bytes, compression, what), what, context)
    const isLayout = archive.documents.has('index.json')
    if (isLayout || archive.documents.has('manifest.json')) {
      await context.admit?.(isLayout ? 'oci-archive' : 'docker-archive')
    }
    if (isLayout) return await loadLayout(layoutOf(archive, context.store), context)
    if (archive.documents.has('manifest.json')) return await loadDockerArchive(archive, context)
    throw new PodlingError(
      'ARCHIVE_INVALID',
      `${what}: is neither an oci-archive (index.json) nor a docker-archive (manifest.json); a plain root file system is for import()`,
    )
  } catch (error) {
    throw sourceFailure(what, error, context.signal)
  } finally {
    await opened.close()
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}

function checkSize({ name, size }: Member, what: string, maxBytes = Infinity): void {
  if (size <= maxBytes) return
  throw new PodlingError(
    'LAYER_TOO_LARGE',
    `${what}: ${name} has ${String(size)} bytes, and a layer may have ${String(maxBytes)}`,
  )
}

async function readArchive(bytes: AsyncIterable<Uint8Array>, what: string, context: LoadContext): Promise<ReadArchive> {
  const documents = new Map<string, Buffer>()
  const blobs = new Map<string, string>()
  const links = new Map<string, string | undefined>()
  let documentBytes = 0
  for await (const member of tarMembers(bytes, what)) {
    throwIfAborted(what, context.signal)
    if (member.type === 'symlink' || member.type === 'link') links.set(member.name, linkTarget(member))
    if (member.type !== 'file') continue
    const digest = blobDigest(member.name)
    if (digest !== undefined || isLayerFile(member.name)) checkSize(member, what, context.maxBytes)
    if (digest !== undefined) {
      await storeBlob(member, digest, what, context)
      blobs.set(member.name, digest)
    } else if (isDocument(member.name)) {
      // Which of two would count is a matter of taste, and so a way to show one and run the other.
      if (documents.has(member.name))
        throw new PodlingError('ARCHIVE_INVALID', `${what}: has two members ${member.name}`)
      documentBytes += member.size
      documents.set(member.name, await readDocument(member, what, documentBytes))
    } else if (isLayerFile(member.name)) {
      const stored = await context.store.ingest(abortable(member.body, what, context.signal))
      blobs.set(member.name, stored.digest)
    }
  }
  const blob = (name: string): string | undefined => {
    let at = memberName(name)
    for (let hops = 0; at !== undefined && hops < 32; hops += 1) {
      const found = blobs.get(at)
      if (found !== undefined) return found
      at = links.get(at)
    }
    return undefined
  }
  return { what, documents, blob }
}

/** The digest that a member of an OCI layout bears in its name. */
function blobDigest(name: string): string | undefined {
  const match = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)
  return match ? `sha256:${match[1]!}` : undefined
}

function isDocument(name: string): boolean {
  return name === 'oci-layout' || /^[^/]+\.json$/.test(name)
}

/** `<id>/layer.tar`, `<hex>.tar`, `<hex>.tar.gz`: what docker-archives of all makers call a layer. */
function isLayerFile(name: string): boolean {
  return /\.(tar|tgz)(\.[a-z0-9]+)?$/.test(name)
}

async function readDocument(member: Member, what: string, together: number): Promise<Buffer> {
  if (member.size > maxDocumentBytes || together > maxDocumentsBytes) {
    throw new PodlingError(
      'ARCHIVE_INVALID',
      `${what}: ${member.name} has ${String(member.size)} bytes; at most ${String(maxDocumentBytes)} are read`,
    )
  }
  const parts: Uint8Array[] = []
  for await (const chunk of member.body) parts.push(chunk)
  return Buffer.concat(parts)
}

async function storeBlob(member: Member, digest: string, what: string, context: LoadContext): Promise<void> {
  const { store, onProgress, signal } = context
  const { size } = member
  const report = (phase: 'copy' | 'done' | 'exists', current: number): void => {
    onProgress?.({ digest, kind: 'layer', phase, current, total: size })
  }
  if (await store.has(digest)) {
    report('exists', size)
    return
  }
  const writer = await store.writer({ digest, size })
  try {
    let skip = writer.offset
    for await (const chunk of member.body) {
      throwIfAborted(what, signal)
      const fresh = chunk.subarray(Math.min(skip, chunk.byteLength))
      skip -= chunk.byteLength - fresh.byteLength
      if (fresh.byteLength > 0) await writer.write(fresh)
      report('copy', writer.offset)
    }
  } catch (error) {
    await writer.discard()
    throw error
  }
  try {
    await writer.commit()
  } catch (cause) {
    if (!(cause instanceof PodlingError)) throw cause
    throw new PodlingError(cause.code, `${what}: the member ${member.name}: ${cause.message}`, { cause })
  }
  report('done', size)
}

function layoutOf(archive: ReadArchive, store: BlobStore): Parameters<typeof loadLayout>[0] {
  const { what, documents } = archive
  return {
    what,
    index: documents.get('index.json')!,
    layout: documents.get('oci-layout'),
    dockerManifest: documents.get('manifest.json'),
    has: (digest) => Promise.resolve(archive.blob(`blobs/sha256/${digest.slice('sha256:'.length)}`) !== undefined),
    read: async (digest) => {
      const bytes = await store.read(digest, maxDocumentBytes)
      if (sha256(bytes) !== digest)
        throw new PodlingError('DIGEST_MISMATCH', `${what}: the blob ${digest} has other bytes`)
      return bytes
    },
    bring: () => Promise.resolve(),
  }
}
