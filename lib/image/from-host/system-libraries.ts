/**
 * The libraries that a host offers to every program: what ld.so.cache lists, or the directories of ld.so.conf, and the
 * directories of musl's path file. Read at first use, once for an image.
 */
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { HostFiles } from './host-files.js'
import { parseLdCache } from './ld-cache.js'
import { readLdConf } from './ld-conf.js'

/** Where the host keeps them; for tests. */
export interface SystemLibraryFiles {
  /** @default '/etc/ld.so.cache' */
  readonly cache?: string
  /** @default '/etc/ld.so.conf' */
  readonly configuration?: string
}

export class SystemLibraries {
  readonly #host: HostFiles
  readonly #files: Required<SystemLibraryFiles>
  #index: Promise<Index> | undefined

  constructor(host: HostFiles, files: SystemLibraryFiles = {}) {
    this.#host = host
    this.#files = { cache: '/etc/ld.so.cache', configuration: '/etc/ld.so.conf', ...files }
  }

  /** Paths to try for a library's name, best first. They may not exist, or be for another machine. */
  async candidates(name: string): Promise<readonly string[]> {
    this.#index ??= this.#readIndex()
    const index = await this.#index
    return index.paths?.get(name) ?? index.directories.map((directory) => join(directory, name))
  }

  async #readIndex(): Promise<Index> {
    const bytes = await readFile(this.#files.cache).catch(() => undefined)
    const entries = bytes === undefined ? undefined : parseLdCache(bytes)
    if (entries === undefined) return { directories: await readLdConf(this.#files.configuration) }
    const paths = new Map<string, string[]>()
    for (const { name, path, special } of entries) {
      if (special) continue
      const known = paths.get(name)
      if (known === undefined) paths.set(name, [path])
      else known.push(path)
    }
    return { paths, directories: [] }
  }

  /** musl's directories: of `etc/ld-musl-ARCH.path` beside its loader's `lib`, or the built-in ones. */
  async muslDirectories(interpreter: string): Promise<string[]> {
    const text = await readFile(muslPathFile(interpreter), 'utf8').catch(() => '/lib:/usr/local/lib:/usr/lib')
    return text.split(/[:\n]/).filter((directory) => directory.startsWith('/'))
  }

  /** The path file of a musl loader, where there is one: an image needs it too. */
  async muslConfiguration(interpreter: string): Promise<string | undefined> {
    const path = muslPathFile(interpreter)
    return (await this.#host.walk(path)) === undefined ? undefined : path
  }
}

interface Index {
  /** Of the cache; absent: there is none, and the directories are walked. */
  readonly paths?: ReadonlyMap<string, readonly string[]>
  readonly directories: readonly string[]
}

/** `/lib/ld-musl-x86_64.so.1` → `/etc/ld-musl-x86_64.path` */
function muslPathFile(interpreter: string): string {
  return join(dirname(dirname(interpreter)), 'etc', `${basename(interpreter).replace(/\.so\.1$/, '')}.path`)
}
