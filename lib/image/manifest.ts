/** Manifests and indexes (OCI image spec manifest.md and image-index.md; Docker schema 2), read strictly. Pure. */
import { PodlingError } from '../errors.js'
import { isDigest } from './digest.js'
import { parseJson, type JsonReader } from './json.js'
import {
  isConfigType,
  isIndexType,
  isManifestType,
  layerCompression,
  mediaTypes,
  type Compression,
} from './media-types.js'
import type { Platform } from './platform.js'

/** What points to a blob (OCI descriptor.md). */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

export interface LayerDescriptor extends Descriptor {
  readonly compression: Compression
}

/** An image manifest: one config and the layers, lowest first. */
export interface Manifest {
  readonly kind: 'manifest'
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly LayerDescriptor[]
  readonly annotations: Readonly<Record<string, string>>
}

export interface IndexEntry extends Descriptor {
  readonly platform?: Platform
}

/** An image index (Docker: manifest list): images for several platforms, or the images of a layout. */
export interface Index {
  readonly kind: 'index'
  readonly mediaType: string
  readonly manifests: readonly IndexEntry[]
}

/** More layers than overlay can stack and than any builder makes. */
const maxLayers = 500

/**
 * Read a manifest or an index.
 * @param what how messages call it
 * @param declaredType the media type that the registry's Content-Type or the descriptor gave, used where the document names none
 * @throws {PodlingError} IMAGE_INVALID for what breaks the spec, MEDIA_TYPE_UNSUPPORTED for what is no image that Podling runs
 */
export function parseManifest(bytes: Uint8Array, what: string, declaredType?: string): Manifest | Index {
  const document = parseJson(bytes, what)
  document.object()
  const mediaType = document.get('mediaType').optionalString() ?? guessType(document, declaredType)
  if (document.get('schemaVersion').value === 1 || isSchema1(mediaType)) {
    throw new PodlingError(
      'MEDIA_TYPE_UNSUPPORTED',
      `${what}: is a Docker schema 1 manifest, a format given up in 2017; push the image again with a current tool`,
    )
  }
  if (document.get('schemaVersion').integer() !== 2) document.get('schemaVersion').fail('must be 2')
  if (isIndexType(mediaType)) return readIndex(document, mediaType)
  if (isManifestType(mediaType)) return readManifest(document, mediaType, what)
  throw unsupported(what, `the media type ${mediaType} is not an image manifest or index`)
}

function readIndex(document: JsonReader, mediaType: string): Index {
  if (document.get('layers').present) document.fail('an index has no layers; it may not be a manifest at the same time')
  const manifests = document.get('manifests')
  if (!manifests.present) manifests.fail('must be a list, got nothing')
  return { kind: 'index', mediaType, manifests: manifests.list(1000).map(readEntry) }
}

function readEntry(reader: JsonReader): IndexEntry {
  const platform = reader.get('platform')
  return { ...readDescriptor(reader), ...(platform.present ? { platform: readPlatform(platform) } : {}) }
}

function readPlatform(reader: JsonReader): Platform {
  const variant = reader.get('variant').optionalString()
  return {
    os: reader.get('os').string(),
    architecture: reader.get('architecture').string(),
    ...(variant === undefined ? {} : { variant }),
  }
}

function readManifest(document: JsonReader, mediaType: string, what: string): Manifest {
  if (document.get('manifests').present) {
    document.fail('an image manifest has no manifests; it may not be an index at the same time')
  }
  const config = readDescriptor(document.get('config'))
  if (!isConfigType(config.mediaType)) {
    throw unsupported(
      what,
      `config.mediaType: ${config.mediaType} is not an image config: this is an artifact, not a container image`,
    )
  }
  return {
    kind: 'manifest',
    mediaType,
    config,
    layers: document
      .get('layers')
      .list(maxLayers)
      .map((layer) => readLayer(layer, what)),
    annotations: document.get('annotations').stringMap(),
  }
}

function readLayer(reader: JsonReader, what: string): LayerDescriptor {
  const descriptor = readDescriptor(reader)
  const compression = layerCompression(descriptor.mediaType)
  if (compression === undefined) {
    const why = descriptor.mediaType.includes('+encrypted')
      ? 'is an encrypted layer'
      : 'is not a layer that Podling can unpack'
    throw unsupported(what, `a layer has the media type ${descriptor.mediaType}, which ${why}`)
  }
  return { ...descriptor, compression }
}

/** Read what points to a blob. */
export function readDescriptor(reader: JsonReader): Descriptor {
  const digest = reader.get('digest')
  const text = digest.string()
  if (!isDigest(text))
    digest.fail(`must be sha256:<64 lower-case hex digits>, got ${JSON.stringify(text.slice(0, 100))}`)
  const annotations = reader.get('annotations').stringMap()
  return {
    mediaType: reader.get('mediaType').string(),
    digest: text,
    size: reader.get('size').integer(),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  }
}

/** The spec lets a document leave its media type out; then the transport's word counts, and at last its shape. */
export function guessType(document: JsonReader, declared: string | undefined): string {
  const type = declared?.split(';')[0]?.trim().toLowerCase()
  if (type !== undefined && (isIndexType(type) || isManifestType(type) || isSchema1(type))) return type
  if (document.get('manifests').present) return mediaTypes.ociIndex
  if (document.get('config').present || document.get('layers').present) return mediaTypes.ociManifest
  if (document.get('fsLayers').present) return mediaTypes.dockerSchema1
  return document.fail('is neither an image manifest nor an index: it has no mediaType, config, layers or manifests')
}

function isSchema1(mediaType: string): boolean {
  return mediaType === mediaTypes.dockerSchema1 || mediaType === mediaTypes.dockerSchema1Signed
}

function unsupported(what: string, reason: string): PodlingError {
  return new PodlingError('MEDIA_TYPE_UNSUPPORTED', `${what}: ${reason}`)
}
