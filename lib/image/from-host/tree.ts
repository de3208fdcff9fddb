/**
 * The files of a layer, held as a description: bytes stay on the host until the layer is packed. Pure.
 */
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { PodlingError } from '../../errors.js'

export type TreeEntry =
  | { readonly type: 'directory'; readonly mode: number }
  | { readonly type: 'link'; readonly target: string }
  | {
      readonly type: 'file'
      readonly mode: number
      /** Seconds since 1970. */
      readonly mtime: number
      readonly size: number
      readonly source: FileSource
    }

/** Where a file's bytes are. */
export type FileSource =
  | {
      readonly path: string
      /** `device:inode`; two entries with the same one become hard links. */
      readonly inode: string
      /** Changes whenever the file does. */
      readonly version: string
    }
  | { readonly content: Uint8Array }

const MAX_LINKS = 40

/** A layer over a base, or a base. Paths that are put in are resolved through the links that stand in the tree. */
export class Tree {
  readonly #base: Tree | undefined
  readonly #own = new Map<string, TreeEntry>()

  constructor(base?: Tree) {
    this.#base = base
  }

  /** What stands at a path whose directories are real ones. */
  get(path: string): TreeEntry | undefined {
    return this.#own.get(path) ?? this.#base?.get(path)
  }

  /**
   * Put an entry in; missing directories above it are made, 0755. A file or link takes the place of another.
   * @returns the path where it stands
   * @throws PodlingError `INVALID_OPTION` when a directory would have to be a file too
   */
  put(path: string, entry: TreeEntry): string {
    const at = this.#resolve(path, entry.type === 'directory')
    const there = this.get(at)
    if (at === '/' || (there?.type === 'directory' && entry.type === 'directory')) return at
    if (there !== undefined && (there.type === 'directory') !== (entry.type === 'directory')) {
      throw new PodlingError(
        'INVALID_OPTION',
        `images.fromHost: ${at} of the image would be both a directory and a ${entry.type === 'directory' ? there.type : entry.type}`,
        { path: at },
      )
    }
    this.put(dirname(at), { type: 'directory', mode: 0o755 })
    if (there === undefined || identify(there) !== identify(entry)) this.#own.set(at, entry)
    return at
  }

  /** Follow the links of the tree; what isn't there yet is taken for directories to be. */
  #resolve(path: string, followLast: boolean): string {
    const left = path.split('/').filter((name) => name !== '')
    let current = '/'
    let links = 0
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      if (name === '.') continue
      if (name === '..') {
        current = dirname(current)
        continue
      }
      const next = join(current, name)
      const entry = this.get(next)
      if (entry?.type !== 'link' || (left.length === 0 && !followLast)) {
        current = next
        continue
      }
      if (++links > MAX_LINKS) {
        throw new PodlingError('INVALID_OPTION', `images.fromHost: ${path} of the image goes round in links`, { path })
      }
      if (entry.target.startsWith('/')) current = '/'
      left.unshift(...entry.target.split('/').filter((part) => part !== ''))
    }
    return current
  }

  get empty(): boolean {
    return this.#own.size === 0
  }

  /**
   * The entries of this layer, sorted, each after the directories above it. Those are listed even if the base has them:
   * a layer that leaves them out gives them default modes.
   */
  entries(): (readonly [path: string, entry: TreeEntry])[] {
    const all = new Map(this.#own)
    for (const path of this.#own.keys()) {
      for (let above = dirname(path); above !== '/' && !all.has(above); above = dirname(above)) {
        all.set(above, this.get(above) ?? { type: 'directory', mode: 0o755 })
      }
    }
    return [...all].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  }

  /** A digest of all that the packed layer depends on: equal keys mean equal layers. */
  key(version: string): string {
    const hash = createHash('sha256').update(`${version}\n`)
    for (const [path, entry] of this.entries()) hash.update(`${JSON.stringify([path, identify(entry)])}\n`)
    return hash.digest('hex')
  }
}

function identify(entry: TreeEntry): string {
  if (entry.type === 'directory') return `directory ${String(entry.mode)}`
  if (entry.type === 'link') return `link ${entry.target}`
  const source =
    'content' in entry.source
      ? createHash('sha256').update(entry.source.content).digest('hex')
      : `${entry.source.inode} ${entry.source.version}`
  return `file ${String(entry.mode)} ${String(entry.mtime)} ${String(entry.size)} ${source}`
}
