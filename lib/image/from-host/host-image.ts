/**
 * `images.fromHost()`: an image out of programs of the host, with the loader, the libraries and the files they need.
 *
 * The image has two layers: the programs with their libraries, and the files given beside them. So tests that put
 * different files beside the same Node share the large layer.
 */
import { createHash } from 'node:crypto'
import { delimiter, dirname } from 'node:path'
import type { ImageConfigInput } from '../image-config-input.js'
import { hostPlatform, normalizePlatform, type Platform } from '../platform.js'
import { addHostDirectory, addHostFile, addHostFileAt } from './collect.js'
import { companionDirectories, glibcRunTimeLibraries } from './companions.js'
import type { Elf } from './elf.js'
import { HostFiles } from './host-files.js'
import { addContent, addLayout } from './layout.js'
import { encodeLdCache, type CacheEntry } from './ld-cache.js'
import { isMusl, resolveLibraries, type FoundLibrary } from './libraries.js'
import { architectureOf, cacheFlagsOf, machineKey } from './machine.js'
import { parseFromHostOptions, type FromHostOptions, type NormalizedFromHostOptions } from './options.js'
import { packEntries } from './pack.js'
import { findProgram, withInterpreters, type ProgramSearch } from './programs.js'
import { SystemLibraries } from './system-libraries.js'
import { Tree } from './tree.js'
import { standardDirectories } from '../../sys/standard-path.js'

/** One layer, not yet packed. */
export interface HostLayer {
  /** Equal keys mean equal bytes of `tar()`: who has stored a layer by its key need not pack it again. */
  readonly key: string
  /** What the layer's files hold together, in bytes. */
  readonly size: number
  /** For the image's history. */
  readonly comment: string
  /** The uncompressed tar stream. Each call packs anew. @throws PodlingError `HOST_FILE_CHANGED` */
  tar(): AsyncGenerator<Uint8Array, void, undefined>
}

/** An image as a description: nothing large has been read yet. */
export interface HostImage {
  /** Equal keys mean equal images. */
  readonly key: string
  /** Bottom first; one or two. */
  readonly layers: readonly HostLayer[]
  /** That of the first program. */
  readonly platform: Platform
  readonly config: ImageConfigInput
}

/** Changes whenever the same description would be packed into other bytes. */
const FORMAT = 'podling from-host 1'

/** The search that a shell would make: along PATH, as the environment has it. */
export function searchAlong(path: string | undefined): ProgramSearch {
  return { path: (path ?? '').split(delimiter).filter((part) => part !== ''), execPath: process.execPath }
}

/**
 * Work out an image.
 * @param search where programs are looked for unless the options say; see {@link searchAlong}
 * @throws PodlingError `INVALID_OPTION`, `HOST_PROGRAM_NOT_FOUND`, `HOST_PROGRAM_INVALID`, `HOST_LIBRARY_NOT_FOUND`,
 *   `HOST_FILE_NOT_FOUND`, `ELF_INVALID`, `PERMISSION_DENIED`
 */
export async function hostImage(options: FromHostOptions, search: ProgramSearch): Promise<HostImage> {
  const normalized = parseFromHostOptions(options)
  return new Builder(normalized, { ...search, ...(options.path === undefined ? {} : { path: options.path }) }).build()
}

class Builder {
  readonly #options: NormalizedFromHostOptions
  readonly #search: ProgramSearch
  readonly #host = new HostFiles()
  readonly #system = new SystemLibraries(this.#host)
  readonly #programs = new Tree()
  readonly #files = new Tree(this.#programs)
  /** By machine: the loader that its programs have, which is their plugins' loader too. */
  readonly #loaders = new Map<string, string>()
  readonly #cache = new Map<string, Omit<CacheEntry, 'special'> & { readonly littleEndian: boolean }>()
  readonly #programDirectories = new Set<string>()
  #architecture: string | undefined

  constructor(options: NormalizedFromHostOptions, search: ProgramSearch) {
    this.#options = options
    this.#search = search
  }

  async build(): Promise<HostImage> {
    await addLayout(this.#programs, this.#host)
    for (const name of this.#options.binaries) {
      await this.#addProgram(await findProgram(name, this.#host, this.#search))
    }
    this.#writeCache(this.#programs)
    await this.#addFiles()
    this.#writeCache(this.#files)

    const layers = [layerOf(this.#programs, `programs of the host: ${this.#options.binaries.join(' ')}`)]
    if (!this.#files.empty) layers.push(layerOf(this.#files, 'files of the host'))
    const platform =
      this.#architecture === undefined
        ? hostPlatform()
        : normalizePlatform({ os: 'linux', architecture: this.#architecture })
    const config = this.#config()
    const parts = JSON.stringify([layers.map(({ key, comment }) => [key, comment]), platform, config])
    return { key: createHash('sha256').update(parts).digest('hex'), layers, platform, config }
  }

  async #addProgram(name: string): Promise<void> {
    for (const path of await withInterpreters(name, this.#host, this.#search)) {
      await addHostFile(this.#programs, this.#host, path, 0o755)
      this.#programDirectories.add(dirname(path))
      const elf = await this.#host.elf(path)
      if (elf !== undefined) {
        this.#architecture ??= architectureOf(elf)
        if (elf.interpreter !== undefined) this.#loaders.set(machineKey(elf), elf.interpreter)
        const libraries = await resolveLibraries({ path, elf }, this.#host, this.#system, {
          optional: glibcRunTimeLibraries,
        })
        await this.#addLibraries(this.#programs, elf, libraries)
      }
      const real = (await this.#host.walk(path))?.path ?? path
      for (const directory of await companionDirectories(real, this.#host)) {
        await this.#addPlugins(this.#programs, await addHostDirectory(this.#programs, this.#host, directory))
      }
    }
  }

  async #addFiles(): Promise<void> {
    const { files, sameFiles, directories, links } = this.#options
    const objects: string[] = []
    for (const { from, to } of directories) objects.push(...(await addHostDirectory(this.#files, this.#host, from, to)))
    for (const path of sameFiles) {
      await addHostFile(this.#files, this.#host, path)
      objects.push(path)
    }
    for (const file of files) {
      if ('content' in file) {
        addContent(this.#files, file.to, file.content, file.mode)
      } else {
        await addHostFileAt(this.#files, this.#host, file.from, file.to, file.mode)
        objects.push(file.from)
      }
    }
    for (const [path, target] of links) this.#files.put(path, { type: 'link', target })
    await this.#addPlugins(this.#files, objects)
  }

  /** What files that are ELF need. One that is damaged stays a file like others: it is no program of ours. */
  async #addPlugins(tree: Tree, paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const elf = await this.#host.elf(path).catch(() => undefined)
      if (elf === undefined || elf.needed.length === 0) continue
      const interpreter = this.#loaders.get(machineKey(elf))
      const libraries = await resolveLibraries({ path, elf }, this.#host, this.#system, {
        lenient: true,
        ...(interpreter === undefined ? {} : { interpreter }),
      })
      await this.#addLibraries(tree, elf, libraries)
    }
  }

  async #addLibraries(tree: Tree, by: Elf, libraries: readonly FoundLibrary[]): Promise<void> {
    for (const { path, elf, systemName } of libraries) {
      const mode = Number((await this.#host.walk(path))?.stats.mode ?? 0n) & 0o777
      await addHostFile(tree, this.#host, path, mode | 0o444)
      const flags = cacheFlagsOf(elf)
      if (systemName === undefined || flags === undefined) continue
      const key = `${machineKey(elf)} ${systemName}`
      if (!this.#cache.has(key)) this.#cache.set(key, { name: systemName, path, flags, littleEndian: elf.littleEndian })
    }
    if (isMusl(by.interpreter)) {
      const configuration = await this.#system.muslConfiguration(by.interpreter!)
      if (configuration !== undefined) await addHostFile(tree, this.#host, configuration)
    }
  }

  /** The image's own ld.so.cache, so that its loader finds each library where the host's loader does. */
  #writeCache(tree: Tree): void {
    const entries = [...this.#cache.values()]
    if (entries.length > 0) addContent(tree, '/etc/ld.so.cache', encodeLdCache(entries, entries[0]!.littleEndian))
  }

  #config(): ImageConfigInput {
    const { env = [], ...rest } = this.#options.config
    const variables = isList(env) ? env : Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const path = new Set([...standardDirectories, ...this.#programDirectories])
    const given = variables.some((variable) => variable.startsWith('PATH='))
    return { ...rest, env: given ? variables : [`PATH=${[...path].join(':')}`, ...variables] }
  }
}

/** Array.isArray, for what may be a read-only array. */
function isList(value: readonly string[] | Readonly<Record<string, string>>): value is readonly string[] {
  return Array.isArray(value)
}

function layerOf(tree: Tree, comment: string): HostLayer {
  const entries = tree.entries()
  const size = entries.reduce((sum, [, entry]) => sum + (entry.type === 'file' ? entry.size : 0), 0)
  return { key: tree.key(FORMAT), size, comment, tar: () => packEntries(entries) }
}
