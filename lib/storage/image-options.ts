/** The options of the verbs of {@link Images}, and their checks. */
import { PodlingError } from '../errors.js'
import type { ImageConfigInput } from '../image/image-config-input.js'
import { normalizePlatform, parsePlatform, type Platform } from '../image/platform.js'
import type { OnProgress } from '../image/progress.js'
import type { RegistryAuth } from '../image/registry-auth.js'
import { saveFormats, type SaveFormat } from '../image/save.js'
import { checkKnown } from '../schema/known-options.js'

/** What all verbs that bring an image take. */
export interface BringOptions {
  /** `'linux/arm64'`, or in parts. @default the machine's */
  readonly platform?: string | Platform
  /** Told how far each blob and layer has come. */
  readonly onProgress?: OnProgress
  /** Cancels; what was downloaded is kept for the next try, everything else is undone. */
  readonly signal?: AbortSignal
}

export interface PullOptions extends BringOptions {
  /**
   * Of an index over several platforms, bring all of it, so that it can be pushed and saved whole. Containers are made
   * from the image of `platform`. @default false
   */
  readonly allPlatforms?: boolean
  /**
   * Allow plain http and unverified certificates for this registry; https is tried first.
   * @default true for a registry on loopback (localhost, 127.0.0.0/8, [::1]), else false
   */
  readonly insecure?: boolean
  /** @default what `podman login` or `docker login` stored (containers-auth.json(5)) */
  readonly auth?: RegistryAuth
}

export interface LoadOptions extends BringOptions {
  /** As {@link PullOptions.allPlatforms}. @default false */
  readonly allPlatforms?: boolean
  /** Which image, of an archive that holds several. An only image without a name gets it. */
  readonly ref?: string
}

export interface PushOptions {
  /** The name that it gets in its registry. @default the name that the image is asked for by, or its only one */
  readonly to?: string
  /**
   * Push the index with all its platforms (true), or this image alone (false).
   * @default true for what was pulled or loaded with `allPlatforms`
   */
  readonly allPlatforms?: boolean
  /** As {@link PullOptions.insecure}. @default true for a registry on loopback, else false */
  readonly insecure?: boolean
  /** @default what `podman login` or `docker login` stored (containers-auth.json(5)) */
  readonly auth?: RegistryAuth
  /** Told how far each blob has come. */
  readonly onProgress?: OnProgress
  /** Cancels. The name in the registry stays what it was. */
  readonly signal?: AbortSignal
}

/** What was pushed. */
export interface PushResult {
  /** The canonical name that it has now, such as `localhost:5000/app:1`. */
  readonly name: string
  /** The digest of its manifest or index, the same here and there. */
  readonly digest: string
}

export interface SaveOptions {
  /**
   * `oci-archive`: a tar of an OCI layout, all digests as they are. `oci-dir`: such a layout as a directory, new or empty.
   * `docker-archive`: what `docker save` writes, layers unpacked; manifests and so their digests don't go along, ids do.
   * @default 'oci-archive'
   */
  readonly format?: SaveFormat
  /** As {@link PushOptions.allPlatforms}; a docker-archive holds one platform alone. */
  readonly allPlatforms?: boolean
  /** Told how far each blob has come. */
  readonly onProgress?: OnProgress
  /** Cancels; nothing is left at the destination. */
  readonly signal?: AbortSignal
}

export interface ImportOptions extends BringOptions {
  /** The name of the new image. @default none: it is known by its id */
  readonly ref?: string
  /** What its containers do unless they say otherwise. @default {} */
  readonly config?: ImageConfigInput
  /** The time that it says it was made. @default now */
  readonly created?: Date
}

export interface RemoveImageOptions {
  /** Remove it though containers use it. They keep running, on layers that go when the last of them is removed. @default false */
  readonly force?: boolean
}

const bring = { platform: true, onProgress: true, signal: true } as const

/** @throws {PodlingError} INVALID_OPTION for options that there aren't */
export function checkPullOptions(options: PullOptions): void {
  checkKnown('images.pull', options, { ...bring, allPlatforms: true, insecure: true, auth: true })
}

/** @throws {PodlingError} INVALID_OPTION for options that there aren't */
export function checkLoadOptions(options: LoadOptions): void {
  checkKnown('images.load', options, { ...bring, allPlatforms: true, ref: true })
}

const publish = { allPlatforms: true, onProgress: true, signal: true } as const

/** @throws {PodlingError} INVALID_OPTION for options that there aren't */
export function checkPushOptions(options: PushOptions): void {
  checkKnown('images.push', options, { ...publish, to: true, insecure: true, auth: true })
}

/** @throws {PodlingError} INVALID_OPTION for options, or a format, that there aren't */
export function checkSaveOptions(options: SaveOptions): void {
  checkKnown('images.save', options, { ...publish, format: true })
  const { format = 'oci-archive' } = options
  if (saveFormats.includes(format)) return
  throw new PodlingError('INVALID_OPTION', `format: must be ${saveFormats.join(', ')}, got ${JSON.stringify(format)}`)
}

/** @throws {PodlingError} INVALID_OPTION for options that there aren't */
export function checkImportOptions(options: ImportOptions): void {
  checkKnown('images.import', options, { ...bring, ref: true, config: true, created: true })
}

/** @throws {PodlingError} INVALID_OPTION for options that there aren't */
export function checkRemoveOptions(options: RemoveImageOptions): void {
  checkKnown('images.remove', options, { force: true })
}

/** @throws {PodlingError} INVALID_OPTION */
export function readPlatform(platform: string | Platform | undefined): Platform | undefined {
  if (platform === undefined) return undefined
  return typeof platform === 'string' ? parsePlatform(platform) : normalizePlatform(platform)
}

/** @throws {PodlingError} INVALID_OPTION, without the secret */
export function checkAuth(auth: RegistryAuth | undefined): void {
  if (auth === undefined) return
  const { username, password, token } = auth as Partial<Record<'username' | 'password' | 'token', unknown>>
  const isLogin = typeof username === 'string' && username !== '' && typeof password === 'string'
  const isToken = typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)
  if (isLogin === isToken)
    throw new PodlingError('INVALID_OPTION', 'auth: must be { username, password } or { token }, of strings')
}
