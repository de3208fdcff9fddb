/**
 * Which libraries a program gets, found as its loader finds them: ld.so(8) for glibc, or musl's.
 *
 * The order of glibc for a name without a slash, needed by file L: what is loaded already; DT_RPATH of L and of those
 * that loaded it, unless L has a DT_RUNPATH; DT_RUNPATH of L; the cache; the default directories. LD_LIBRARY_PATH is
 * of no account, as the image's processes start without it. The variants for newer processors (glibc-hwcaps) are
 * passed over: the plain library beside them runs everywhere.
 */
import { basename, dirname } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { Elf } from './elf.js'
import type { HostFiles } from './host-files.js'
import { defaultDirectories, machineKey, platformOf } from './machine.js'
import { expandWords, searchPathDirectories, type SearchPathWords } from './search-path.js'
import type { SystemLibraries } from './system-libraries.js'

/** A library that a program needs. */
export interface FoundLibrary {
  /** Where the loader finds it: the path, links unresolved. */
  readonly path: string
  readonly elf: Elf
  /** The name it was looked up by, where it was found through the system's cache or default directories. */
  readonly systemName?: string
}

export interface ResolveOptions {
  /** The loader, for files that don't name one (a plugin is loaded by its program's). */
  readonly interpreter?: string
  /** Names looked up as if libc needed them, and left out where they are missing: what libc loads only when used. */
  readonly optional?: readonly string[]
  /** Leave out what is missing, in the place of failing. For plugins: what is broken on the host is so in the image. */
  readonly lenient?: boolean
}

interface Loaded {
  readonly path: string
  readonly elf: Elf
  readonly origin: string
  readonly loader?: Loaded
}

/** musl has these inside of its loader; files built against it may name them all the same. */
const MUSL_OWN = /^lib(c|pthread|rt|m|dl|util|xnet)\./

export function isMusl(interpreter: string | undefined): boolean {
  return interpreter !== undefined && basename(interpreter).startsWith('ld-musl-')
}

/** Libraries of one program or plugin, its loader included, in the order of loading. */
export async function resolveLibraries(
  file: { readonly path: string; readonly elf: Elf },
  host: HostFiles,
  system: SystemLibraries,
  options: ResolveOptions = {},
): Promise<FoundLibrary[]> {
  return new Resolution(file, host, system, options).run()
}

class Resolution {
  readonly #host: HostFiles
  readonly #system: SystemLibraries
  readonly #options: ResolveOptions
  readonly #program: { readonly path: string; readonly elf: Elf }
  readonly #interpreter: string | undefined
  readonly #names = new Map<string, Loaded>()
  /** By real path: the loader doesn't load one file twice for having two names. */
  readonly #files = new Map<string, Loaded>()
  readonly #found: FoundLibrary[] = []
  readonly #queue: Loaded[] = []
  #lib: string | undefined

  constructor(
    program: { readonly path: string; readonly elf: Elf },
    host: HostFiles,
    system: SystemLibraries,
    options: ResolveOptions,
  ) {
    this.#program = program
    this.#host = host
    this.#system = system
    this.#options = options
    this.#interpreter = program.elf.interpreter ?? options.interpreter
  }

  async run(): Promise<FoundLibrary[]> {
    await this.#addInterpreter()
    const { path, elf } = this.#program
    const real = (await this.#host.walk(path))?.path ?? path
    // The program's origin is that of /proc/self/exe, with links resolved; a library's is the path it was found by.
    this.#queue.push({ path, elf, origin: dirname(real) })
    for (let at = 0; at < this.#queue.length; at++) {
      const loaded = this.#queue[at]!
      await this.#readAhead(loaded.elf.needed)
      for (const name of loaded.elf.needed) await this.#need(name, loaded, this.#options.lenient === true)
      if (at === this.#queue.length - 1 && this.#names.has('libc.so.6')) await this.#needOptional()
    }
    return this.#found
  }

  /**
   * Names are looked up one after the other, as each may decide the next; what most of them will be found to be is read
   * at once before that, and remembered. Failures show when they count.
   */
  async #readAhead(names: readonly string[]): Promise<void> {
    await Promise.all(
      names.map(async (name) => {
        const [likely] = this.#names.has(name) ? [] : await this.#system.candidates(name)
        if (likely !== undefined) await this.#host.elf(likely).catch(() => undefined)
      }),
    )
  }

  async #addInterpreter(): Promise<void> {
    const interpreter = this.#program.elf.interpreter
    if (interpreter === undefined) {
      if (this.#interpreter !== undefined) await this.#registerInterpreter(this.#interpreter)
      return
    }
    if (!(await this.#registerInterpreter(interpreter))) {
      throw new PodlingError(
        'HOST_LIBRARY_NOT_FOUND',
        `${this.#program.path} is started by the loader ${interpreter}, which this host doesn't have`,
        { path: interpreter },
      )
    }
  }

  async #registerInterpreter(interpreter: string): Promise<boolean> {
    const elf = await this.#host.elf(interpreter)
    const walk = await this.#host.walk(interpreter)
    if (elf === undefined || walk === undefined) return false
    // $LIB is where the C library was installed by its builder, and so its loader, less the prefix.
    this.#lib = dirname(walk.path).replace(/^\/(usr\/)?/, '')
    const loaded: Loaded = { path: interpreter, elf, origin: dirname(interpreter) }
    this.#register(loaded, walk.path, basename(interpreter))
    this.#found.push({ path: interpreter, elf })
    return true
  }

  async #needOptional(): Promise<void> {
    const libc = this.#names.get('libc.so.6')
    await this.#readAhead(this.#options.optional ?? [])
    for (const name of this.#options.optional ?? []) await this.#need(name, libc!, true)
  }

  async #need(name: string, by: Loaded, lenient: boolean): Promise<void> {
    if (this.#names.has(name)) return
    if (isMusl(this.#interpreter) && MUSL_OWN.test(name)) return
    const hit = name.includes('/') ? await this.#byPath(name, by) : await this.#bySearch(name, by)
    if (hit === undefined) {
      if (lenient) return
      throw new PodlingError('HOST_LIBRARY_NOT_FOUND', this.#missing(name, by), { path: by.path })
    }
    const real = (await this.#host.walk(hit.path))?.path ?? hit.path
    const known = this.#files.get(real)
    if (known !== undefined) {
      this.#names.set(name, known)
      // The same file by another link: the image needs that link too.
      if (known.path !== hit.path) this.#found.push(hit)
      return
    }
    const loaded: Loaded = { path: hit.path, elf: hit.elf, origin: dirname(hit.path), loader: by }
    this.#register(loaded, real, name)
    this.#found.push(hit)
    this.#queue.push(loaded)
  }

  #register(loaded: Loaded, real: string, name: string): void {
    this.#files.set(real, loaded)
    this.#names.set(name, loaded)
    if (loaded.elf.soname !== undefined) this.#names.set(loaded.elf.soname, loaded)
  }

  async #byPath(name: string, by: Loaded): Promise<FoundLibrary | undefined> {
    const path = expandWords(name, this.#words(by))
    return path?.startsWith('/') === true ? this.#try(path) : undefined
  }

  async #bySearch(name: string, by: Loaded): Promise<FoundLibrary | undefined> {
    for (const directory of this.#ownDirectories(by)) {
      const hit = await this.#try(`${directory}/${name}`)
      if (hit !== undefined) return hit
    }
    if (isMusl(this.#interpreter)) {
      for (const directory of await this.#system.muslDirectories(this.#interpreter!)) {
        const hit = await this.#try(`${directory}/${name}`)
        if (hit !== undefined) return hit
      }
      return undefined
    }
    const defaults = defaultDirectories(this.#program.elf)
    for (const path of await this.#system.candidates(name)) {
      if (by.elf.noDefaultLibraries && defaults.includes(dirname(path))) continue
      const hit = await this.#try(path)
      if (hit !== undefined) return { ...hit, systemName: name }
    }
    for (const directory of by.elf.noDefaultLibraries ? [] : defaults) {
      const hit = await this.#try(`${directory}/${name}`)
      if (hit !== undefined) return { ...hit, systemName: name }
    }
    return undefined
  }

  /** The directories that the ELF files themselves name, for a library needed by `by`. */
  #ownDirectories(by: Loaded): string[] {
    const chain: Loaded[] = []
    for (let file: Loaded | undefined = by; file !== undefined; file = file.loader) chain.push(file)
    // musl takes both tags for one, and inherits either.
    if (isMusl(this.#interpreter)) {
      return chain.flatMap((file) => searchPathDirectories(file.elf.runpath ?? file.elf.rpath, this.#words(file)))
    }
    const rpaths =
      by.elf.runpath === undefined
        ? chain.flatMap((file) =>
            file.elf.runpath === undefined ? searchPathDirectories(file.elf.rpath, this.#words(file)) : [],
          )
        : []
    return [...rpaths, ...searchPathDirectories(by.elf.runpath, this.#words(by))]
  }

  #words(file: Loaded): SearchPathWords {
    return { origin: file.origin, lib: this.#lib, platform: platformOf(file.elf) }
  }

  // `..` is left in paths: after a link it leads elsewhere than the text says.

  /** A file of another class or machine is passed over, as ld.so does; so is one that is no ELF file. */
  async #try(path: string): Promise<FoundLibrary | undefined> {
    const elf = await this.#host.elf(path)
    return elf !== undefined && machineKey(elf) === machineKey(this.#program.elf) ? { path, elf } : undefined
  }

  #missing(name: string, by: Loaded): string {
    const chain: string[] = []
    for (let file: Loaded | undefined = by.loader; file !== undefined; file = file.loader) chain.push(file.path)
    const origin = chain.length === 0 ? '' : ` (loaded by ${chain.join(', by ')})`
    const own = this.#ownDirectories(by)
    const searched = own.length === 0 ? '' : `${own.join(', ')}, `
    return `${by.path}${origin} needs the library ${name}, which is not on this host; searched: ${searched}the loader's cache and default directories`
  }
}
