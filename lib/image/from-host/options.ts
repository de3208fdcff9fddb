/** What `images.fromHost()` takes, and the check of it. */
import { isAbsolute, normalize, resolve } from 'node:path'
import { PodlingError } from '../../errors.js'
import { encodeConfig, type ImageConfigInput } from '../image-config-input.js'
import type { OnProgress } from '../progress.js'

/** A file of an image: one of the host by another name, or one made of bytes. */
export type HostFile =
  | {
      /** Path on the host, taken from the working directory if relative. Links are followed. */
      readonly from: string
      /** Absolute path in the image. */
      readonly to: string
      /** Permission bits. @default those of the host's file */
      readonly mode?: number
    }
  | {
      /** What the file holds. Text is written as UTF-8. */
      readonly content: string | Uint8Array
      /** Absolute path in the image. */
      readonly to: string
      /** Permission bits. @default 0o644 */
      readonly mode?: number
    }

/** An image made out of what the host has. */
export interface FromHostOptions {
  /**
   * Programs, by name (`'node'`, looked up along `path`) or path. Each comes with its loader and shared libraries, a
   * script with its interpreter, Python with its standard library, Git with its helpers. All keep the paths that they
   * have on the host. Their mode is 0755: set-user-ID bits and file capabilities are not taken along. Certificates are
   * files: where a program trusts the system's, list `/etc/ssl/certs/ca-certificates.crt` under `files`.
   */
  readonly binaries?: readonly string[]
  /** Further files: a path, for one that keeps its path, or a {@link HostFile}. */
  readonly files?: readonly (string | HostFile)[]
  /**
   * Directories with all that is in them on the same file system, save sockets, pipes and devices. Shared libraries
   * among the files come with the libraries that they need, where the host has them.
   */
  readonly directories?: readonly (string | { readonly from: string; readonly to: string })[]
  /** Symbolic links to make: path in the image → target. */
  readonly links?: Readonly<Record<string, string>>
  /** Directories where names of `binaries` are looked for. @default those of this process's PATH */
  readonly path?: readonly string[]
  /** A name for the image. @default none */
  readonly ref?: string
  /** How its processes start. Its environment gets a PATH that leads to every program of the image, unless it has one. */
  readonly config?: ImageConfigInput
  /** Told how far each layer has come. */
  readonly onProgress?: OnProgress
  /** Cancels; what was made so far is undone. */
  readonly signal?: AbortSignal
}

/** Options with each choice made. */
export interface NormalizedFromHostOptions {
  readonly binaries: readonly string[]
  readonly files: readonly HostFile[]
  /** Paths whose image path is the host's own, links and all. */
  readonly sameFiles: readonly string[]
  readonly directories: readonly { readonly from: string; readonly to?: string }[]
  readonly links: readonly (readonly [path: string, target: string])[]
  readonly config: ImageConfigInput
}

const known: readonly string[] = [
  'binaries',
  'files',
  'directories',
  'links',
  'path',
  'ref',
  'config',
  'onProgress',
  'signal',
] satisfies (keyof FromHostOptions)[]

/** @throws PodlingError `INVALID_OPTION` with every mistake, each by its path */
export function parseFromHostOptions(options: FromHostOptions): NormalizedFromHostOptions {
  const mistakes: string[] = []
  const absolute = (value: unknown, where: string): string => {
    if (typeof value === 'string' && isAbsolute(value) && !value.includes('\0'))
      return normalize(value).replace(/(?<=.)\/$/, '')
    mistakes.push(`${where}: must be an absolute path, got ${describe(value)}`)
    return '/'
  }
  const text = (value: unknown, where: string): string => {
    if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value
    mistakes.push(`${where}: must be a text that is not empty, got ${describe(value)}`)
    return ''
  }
  const list = <T>(value: readonly T[] | undefined, where: string): readonly T[] => {
    if (value === undefined) return []
    if (isList(value)) return value
    mistakes.push(`${where}: must be a list, got ${describe(value)}`)
    return []
  }
  const file = (value: HostFile, where: string): HostFile => {
    const to = absolute(value.to, `${where}.to`)
    const { mode } = value
    if (mode !== undefined && !(Number.isInteger(mode) && mode >= 0 && mode <= 0o777)) {
      mistakes.push(`${where}.mode: must be 0..0o777, got ${describe(mode)}`)
    }
    const rest = { to, ...(mode === undefined ? {} : { mode }) }
    if ('content' in value === 'from' in value) mistakes.push(`${where}: must have one of from and content`)
    if (!('content' in value)) return { from: resolve(text(value.from, `${where}.from`)), ...rest }
    if (typeof value.content !== 'string' && !(value.content instanceof Uint8Array)) {
      mistakes.push(`${where}.content: must be a string or bytes, got ${describe(value.content)}`)
    }
    return { content: value.content, ...rest }
  }

  for (const key of Object.keys(options)) {
    if (!known.includes(key)) mistakes.push(`${key}: is not known; use ${known.join(', ')}`)
  }
  const given = list(options.files, 'files')
  const result = {
    binaries: list(options.binaries, 'binaries').map((name, index) => text(name, `binaries[${String(index)}]`)),
    files: given.flatMap((value, index) => {
      if (typeof value === 'object' && (value as unknown) !== null) return [file(value, `files[${String(index)}]`)]
      return []
    }),
    sameFiles: given.flatMap((value, index) =>
      typeof value === 'object' && (value as unknown) !== null ? [] : [absolute(value, `files[${String(index)}]`)],
    ),
    directories: list(options.directories, 'directories').map((value, index) => {
      const where = `directories[${String(index)}]`
      if (typeof value !== 'object' || (value as unknown) === null) return { from: absolute(value, where) }
      return { from: resolve(text(value.from, `${where}.from`)), to: absolute(value.to, `${where}.to`) }
    }),
    links: Object.entries(options.links ?? {}).map(
      ([path, target]) =>
        [absolute(path, `links[${JSON.stringify(path)}]`), text(target, `links[${JSON.stringify(path)}]`)] as const,
    ),
    config: options.config ?? {},
  }
  list(options.path, 'path').forEach((directory, index) => absolute(directory, `path[${String(index)}]`))
  try {
    encodeConfig(result.config)
  } catch (error) {
    mistakes.push(...(error as PodlingError).message.split('\n'))
  }
  if (mistakes.length > 0) throw new PodlingError('INVALID_OPTION', `images.fromHost: ${mistakes.join('; ')}`)
  return result
}

function isList(value: unknown): boolean {
  return Array.isArray(value)
}

function describe(value: unknown): string {
  return typeof value === 'string'
    ? JSON.stringify(value)
    : value === null
      ? 'null'
      : typeof value === 'number'
        ? String(value)
        : typeof value
}
