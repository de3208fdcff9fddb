/** `commit`: an image and what a container changed become a new image of one layer more. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { BlobStore } from './blob-store.js'
import { encodeConfig, type ImageConfigInput } from './image-config-input.js'
import { composeImage, type ImageParts, type StoredLayer } from './image-parts.js'
import { abortable } from './source.js'

export interface CommitContext {
  readonly store: BlobStore
  /** What the container that it is made of does otherwise than its image says. @default {} */
  readonly own?: ImageConfigInput | undefined
  /** What containers of the new image do otherwise than that one. @default {} */
  readonly config?: ImageConfigInput | undefined
  readonly author?: string | undefined
  /** What its history says. */
  readonly message?: string | undefined
  readonly created?: Date | undefined
  /** Canonical names for it. @default [] */
  readonly names?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
}

/** The image that is built on. */
export interface BaseImage {
  /** Its configuration document, as it came. */
  readonly config: string
  readonly layers: readonly StoredLayer[]
}

/**
 * Store a layer, and an image of it on top of `base`. What Podling doesn't know of the base's configuration is kept.
 * @throws {PodlingError} INVALID_OPTION, DISK_FULL, ABORTED, and whatever `tar` throws
 */
export async function commitImage(
  base: BaseImage,
  tar: AsyncIterable<Uint8Array>,
  context: CommitContext,
): Promise<ImageParts> {
  const { store, names = [], signal, author, created = new Date() } = context
  const changes = [context.own ?? {}, context.config ?? {}].map(encodeConfig)
  const hash = createHash('sha256')
  const plain = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of abortable(tar, 'commit', signal)) {
      hash.update(chunk)
      yield chunk
    }
  }
  const source = Readable.from(plain(), { objectMode: false })
  const gzip = createGzip()
  // An error of the source ends the packing, whose reader is here.
  source.once('error', (error) => gzip.destroy(error))
  const layer = await store.ingest(source.pipe(gzip) as AsyncIterable<Uint8Array>)
  const diffId = `sha256:${hash.digest('hex')}`
  const document = JSON.parse(base.config) as Document
  const step = {
    created: created.toISOString(),
    created_by: 'podling commit',
    ...(author === undefined ? {} : { author }),
    ...(context.message === undefined ? {} : { comment: context.message }),
  }
  const bytes = Buffer.from(
    JSON.stringify({
      ...document,
      created: created.toISOString(),
      ...(author === undefined ? {} : { author }),
      config: changes.reduce<Record<string, unknown>>(mergeConfig, { ...document.config }),
      rootfs: { type: 'layers', diff_ids: [...(document.rootfs?.diff_ids ?? []), diffId] },
      history: [...(document.history ?? []), step],
    }),
  )
  return composeImage(store, bytes, [...base.layers, { ...layer, compression: 'gzip' }], names, 'commit')
}

/** As far as it is touched here; it was read strictly when its image came. */
interface Document {
  readonly config?: Readonly<Record<string, unknown>> | null
  readonly rootfs?: { readonly diff_ids?: readonly string[] | null } | null
  readonly history?: readonly unknown[] | null
}

/** Single variables and labels take the place of those of their name; all else is replaced as a whole. */
function mergeConfig(
  old: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...old, ...changes }
  if (changes['Env'] !== undefined) {
    const variables = new Map<string, string>()
    for (const entry of [...((old['Env'] as string[] | null | undefined) ?? []), ...(changes['Env'] as string[])]) {
      variables.set(entry.slice(0, entry.indexOf('=')), entry)
    }
    merged['Env'] = [...variables.values()]
  }
  for (const key of ['Labels', 'ExposedPorts', 'Volumes']) {
    if (changes[key] !== undefined) merged[key] = { ...(old[key] as object | null), ...(changes[key] as object) }
  }
  // As with docker commit, an entrypoint of one's own isn't given the arguments of another.
  if (changes['Entrypoint'] !== undefined && changes['Cmd'] === undefined) delete merged['Cmd']
  return merged
}
