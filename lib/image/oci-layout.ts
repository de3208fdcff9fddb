/** The images of an OCI image layout (OCI image spec image-layout.md), wherever its files are. */
import { PodlingError } from '../errors.js'
import type { LoadContext } from './load-context.js'
import { dockerNames } from './docker-archive.js'
import { parseImageDocument } from './image-config.js'
import { checkParts, type ImageParts } from './image-parts.js'
import { flattenTree, readTree } from './image-tree.js'
import { parseJson } from './json.js'
import { parseManifest, type Descriptor, type Index, type IndexEntry, type Manifest } from './manifest.js'
import { isForeignLayer } from './media-types.js'
import { formatPlatform, hostPlatform, platformFit, selectPlatform } from './platform.js'
import { formatReference, parseReference } from './reference.js'

/** The files of a layout. */
export interface Layout {
  readonly what: string
  readonly index: Buffer
  readonly layout: Buffer | undefined
  /** `docker save` adds one, whose names count. */
  readonly dockerManifest?: Buffer | undefined
  has(digest: string): Promise<boolean>
  /** A small blob, whole and verified. */
  read(digest: string): Promise<Buffer>
  /** Have a blob in the store. */
  bring(descriptor: Descriptor, kind: 'manifest' | 'config' | 'layer'): Promise<void>
}

const maxIndexDepth = 4

export async function loadLayout(layout: Layout, context: LoadContext): Promise<ImageParts[]> {
  checkVersion(layout)
  const index = parseManifest(layout.index, `${layout.what}: index.json`)
  if (index.kind !== 'index')
    throw new PodlingError('ARCHIVE_INVALID', `${layout.what}: index.json is not an image index`)
  const tags = layout.dockerManifest ? dockerNames(layout.dockerManifest, layout.what) : new Map<string, string[]>()
  const images = new Map<string, ImageParts>()
  let artifact: PodlingError | undefined
  for (const entries of groups(index)) {
    try {
      const image = await loadGroup(entries, layout, context, tags)
      const same = images.get(image.digest)
      const names = [...new Set([...(same?.names ?? []), ...image.names])]
      images.set(image.digest, { ...image, names })
    } catch (error) {
      // Signatures and the like may lie beside the images.
      if (!(error instanceof PodlingError) || error.code !== 'MEDIA_TYPE_UNSUPPORTED') throw error
      artifact ??= error
    }
  }
  if (images.size > 0) return [...images.values()]
  throw artifact ?? new PodlingError('ARCHIVE_INVALID', `${layout.what}: holds no image`)
}

function checkVersion({ layout, what }: Layout): void {
  if (!layout) throw new PodlingError('ARCHIVE_INVALID', `${what}: has no oci-layout file`)
  const version = parseJson(layout, `${what}: oci-layout`, 'ARCHIVE_INVALID').get('imageLayoutVersion')
  if (!version.string().startsWith('1.')) version.fail('only version 1 is known')
}

/** Entries of one name, or without names but for several platforms, are one image. */
function groups(index: Index): IndexEntry[][] {
  const named = new Map<string, IndexEntry[]>()
  const unnamed: IndexEntry[] = []
  for (const entry of index.manifests) {
    if (entry.annotations?.['vnd.docker.reference.type'] !== undefined) continue
    const name = entryName(entry)
    if (name === undefined) unnamed.push(entry)
    else named.set(name, [...(named.get(name) ?? []), entry])
  }
  const together = unnamed.length > 1 && unnamed.every(({ platform }) => platform)
  return [...named.values(), ...(together ? [unnamed] : unnamed.map((entry) => [entry]))]
}

function entryName({ annotations }: IndexEntry): string | undefined {
  return annotations?.['io.containerd.image.name'] ?? annotations?.['org.opencontainers.image.ref.name']
}

async function loadGroup(
  entries: readonly IndexEntry[],
  layout: Layout,
  context: LoadContext,
  tags: ReadonlyMap<string, readonly string[]>,
): Promise<ImageParts> {
  const { what } = layout
  const top = entries.length === 1 ? entries[0]! : selectPlatform(entries, context.platform ?? hostPlatform(), what)
  const { manifest, descriptor, indexes } = await resolve(top, layout, context)
  await bring(layout, manifest.config, 'config')
  const document = parseImageDocument(
    await layout.read(manifest.config.digest),
    `${what}: config ${manifest.config.digest}`,
  )
  checkParts(manifest, document, `${what}: manifest ${descriptor.digest}`)
  if (context.platform && platformFit(context.platform, document.platform) === 0) {
    throw new PodlingError(
      'PLATFORM_NOT_FOUND',
      `${what} has no image for ${formatPlatform(context.platform)}; it has ${formatPlatform(document.platform)}`,
    )
  }
  for (const layer of manifest.layers) await bring(layout, layer, 'layer')
  const whole = context.allPlatforms && indexes.length > 0 ? await bringIndex(top, layout) : undefined
  return {
    digest: descriptor.digest,
    indexes,
    manifest,
    document,
    whole,
    names: imageNames(top, tags.get(manifest.config.digest)),
  }
}

/** Bring all that hangs on an index. */
async function bringIndex(top: Descriptor, layout: Layout): Promise<{ index: string; blobs: string[] }> {
  const read = async (descriptor: Descriptor): Promise<Buffer> => {
    await bring(layout, descriptor, 'manifest')
    return layout.read(descriptor.digest)
  }
  const { trees, blobs } = flattenTree(await readTree(top, read, layout.what))
  const there = trees.map(({ descriptor }) => descriptor.digest)
  for (const blob of blobs) {
    if (isForeignLayer(blob.mediaType) && !(await layout.has(blob.digest))) continue
    await bring(layout, blob, 'layer')
    there.push(blob.digest)
  }
  return { index: top.digest, blobs: there }
}

async function resolve(
  top: Descriptor,
  layout: Layout,
  context: LoadContext,
): Promise<{ manifest: Manifest; descriptor: Descriptor; indexes: string[] }> {
  const indexes: string[] = []
  let descriptor = top
  for (let depth = 0; depth < maxIndexDepth; depth += 1) {
    await bring(layout, descriptor, 'manifest')
    const bytes = await layout.read(descriptor.digest)
    const document = parseManifest(bytes, `${layout.what}: manifest ${descriptor.digest}`, descriptor.mediaType)
    if (document.kind === 'manifest') return { manifest: document, descriptor, indexes }
    indexes.push(descriptor.digest)
    descriptor = await choose(document, layout, context)
  }
  throw new PodlingError(
    'ARCHIVE_INVALID',
    `${layout.what}: indexes are nested more than ${String(maxIndexDepth)} deep`,
  )
}

/** `docker save` writes the whole index, but only the blobs of the platforms that it has. */
async function choose(index: Index, layout: Layout, context: LoadContext): Promise<IndexEntry> {
  const there: IndexEntry[] = []
  for (const entry of index.manifests) if (await layout.has(entry.digest)) there.push(entry)
  const offered = there.length > 0 ? there : index.manifests
  const images = offered.filter(({ platform }) => platform?.os !== 'unknown')
  const [only, ...others] = images
  if (only && others.length === 0 && !context.platform) return only
  return selectPlatform(images, context.platform ?? hostPlatform(), layout.what)
}

async function bring(layout: Layout, descriptor: Descriptor, kind: 'manifest' | 'config' | 'layer'): Promise<void> {
  if (!(await layout.has(descriptor.digest))) {
    throw new PodlingError('ARCHIVE_INVALID', `${layout.what}: the ${kind} ${descriptor.digest} is missing`)
  }
  await layout.bring(descriptor, kind)
}

function imageNames(entry: IndexEntry, dockerTags: readonly string[] | undefined): string[] {
  const containerd = entry.annotations?.['io.containerd.image.name']
  const refName = entry.annotations?.['org.opencontainers.image.ref.name']
  // A bare word there is a tag in the layout (`oci:dir:latest`), not a name.
  const isName = containerd === undefined && dockerTags === undefined && /[:/]/.test(refName ?? '')
  const fallback = isName ? refName : undefined
  const candidates = [containerd, ...(dockerTags ?? []), fallback]
  const names = new Set<string>()
  for (const candidate of candidates) {
    const name = candidate === undefined ? undefined : tagName(candidate)
    if (name !== undefined) names.add(name)
  }
  return [...names]
}

/** The canonical form of a name with a tag; the annotation is free text, and what is no reference names nothing. */
function tagName(text: string): string | undefined {
  try {
    const reference = parseReference(text)
    return reference.digest === undefined ? formatReference(reference) : undefined
  } catch {
    return undefined
  }
}
