/**
 * A layer as a tree in memory, for an index over its tar. It takes the operations that an unpacker takes and means the
 * same by them (native/unpack_entries.c), failures included: a layer that one driver refuses, all refuse, with the same words.
 */
import { layerFailure } from '../unpack-status.js'
import type { Head, OperationSink, UnpackOperation } from '../unpack-operations.js'
import { Node, type NodeKind } from './node.js'
import { decodeXattrs } from './xattrs.js'

/** Symbolic links that one path may lead through (path_resolution(7)). */
const mostLinks = 40

/** Bytes of a name, NAME_MAX. */
const longestName = 255

const modeBits = 0o7777
const setgid = 0o2000

/** What the kernel would say of the same tree on a disk. */
class Refusal extends Error {
  readonly errno: string
  readonly call: string
  constructor(call: string, errno: string) {
    super(errno)
    this.call = call
    this.errno = errno
  }
}

export class LayerTree implements OperationSink {
  readonly root = new Node('directory', undefined)
  /** Whether the layer has an entry for its root. */
  rootGiven = false
  #opaque: ReadonlyMap<string, Buffer> = new Map()
  /** The directory of the entry before: the next one mostly lies in it too. */
  #lastPath = ''
  #lastDirectory: Node = this.root

  operation(operation: UnpackOperation, head: Head): void {
    try {
      this.#perform(operation, head)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { call: syscall, errno } = error
      const path = Buffer.from(head.path ?? '', 'latin1').toString()
      throw layerFailure({ operation, syscall, errno, path })
    }
  }

  // Where contents stand in the tar came with the entry.
  chunk(): void {
    return
  }
  contents(): void {
    return
  }
  flush(): void {
    return
  }

  #perform(operation: UnpackOperation, head: Head): void {
    const path = head.path ?? ''
    switch (operation) {
      case 'start':
        this.#opaque = decodeXattrs(head.xattrs)
        return
      case 'directory':
        this.#directory(path, head)
        return
      case 'file':
      case 'symlink':
      case 'character':
      case 'block':
      case 'fifo':
        this.#leaf(operation, path, head)
        return
      case 'hardlink':
        this.#hardlink(path, head.link ?? '')
        return
      case 'whiteout':
        this.#whiteout(path)
        return
      case 'opaque':
        this.#makeOpaque(path)
        return
      case 'touch':
        this.#touch(path, head)
        return
      default:
        return
    }
  }

  #directory(path: string, head: Head): void {
    let node = this.root
    if (path === '') this.rootGiven = true
    else {
      const [parent, name] = this.#enter(path, head)
      const there = childrenOf(parent).get(name)
      node = there?.kind === 'directory' ? there : this.#put(parent, name, new Node('directory', parent))
      if (there?.isWhiteout) setXattrs(node, this.#opaque)
    }
    takeHead(node, head)
  }

  #leaf(kind: NodeKind, path: string, head: Head): void {
    const [parent, name] = this.#enter(path, head)
    const node = this.#put(parent, name, new Node(kind, undefined))
    takeHead(node, head)
    if (kind === 'file') {
      node.size = head.size ?? 0
      node.pieces = head.pieces ?? []
      node.contentsAt = head.contentsAt ?? 0
    } else if (kind === 'symlink') {
      node.link = head.link ?? ''
      node.mode = 0o777
    } else {
      node.major = head.major ?? 0
      node.minor = head.minor ?? 0
    }
  }

  #hardlink(path: string, link: string): void {
    const { above, name: target } = split(link)
    if (isNoName(target)) throw new Refusal('linkat', 'EXDEV')
    const [parent, name] = this.#enter(path, {})
    const from = childrenOf(this.#walk(above)).get(target)
    if (from === undefined) throw new Refusal('linkat', 'ENOENT')
    if (from.kind === 'directory') throw new Refusal('linkat', 'EISDIR')
    if (childrenOf(parent).get(name) === from) return
    this.#put(parent, name, from)
    from.links++
  }

  /** A whiteout hides what is below, never what this layer has. */
  #whiteout(path: string): void {
    const [parent, name] = this.#enter(path, {})
    const there = childrenOf(parent).get(name)
    if (there === undefined) {
      const node = this.#put(parent, name, new Node('character', undefined))
      node.mode = 0
    } else if (there.kind === 'directory') setXattrs(there, this.#opaque)
  }

  #makeOpaque(path: string): void {
    if (path === '') {
      setXattrs(this.root, this.#opaque)
      return
    }
    const [parent, name] = this.#enter(path, {})
    let node = childrenOf(parent).get(name)
    if (node === undefined || node.isWhiteout) node = this.#imply(parent, name, {})
    else if (node.kind !== 'directory') throw new Refusal('openat', 'ENOTDIR')
    setXattrs(node, this.#opaque)
  }

  /** Set the time of a directory, unless something else has taken its place. */
  #touch(path: string, { seconds = 0, nanoseconds = 0 }: Head): void {
    let node: Node | undefined = this.root
    if (path !== '') for (const part of path.split('/')) node = node?.children?.get(part)
    if (node?.kind !== 'directory') return
    node.seconds = seconds
    node.nanoseconds = nanoseconds
  }

  /** The directory in which the last part of a path stands, made where it is missing, and that part. */
  #enter(path: string, head: Head): [Node, string] {
    const { above, name } = split(path)
    if (isNoName(name)) throw new Refusal('openat2', 'EXDEV')
    if (name.length > longestName) throw new Refusal('openat', 'ENAMETOOLONG')
    if (above !== this.#lastPath) {
      this.#lastDirectory = this.#walk(above, head)
      this.#lastPath = above
    }
    return [this.#lastDirectory, name]
  }

  /**
   * The directory at a path, as openat2(2) with RESOLVE_BENEATH finds it.
   * @param head of the entry for whose sake missing directories are made; without it they are an error
   */
  #walk(path: string, head?: Head): Node {
    let node = this.root
    const links = { left: mostLinks }
    for (const part of path === '' ? [] : path.split('/')) {
      if (part.length > longestName) throw new Refusal('openat2', 'ENAMETOOLONG')
      const next = childrenOf(node).get(part)
      if (next !== undefined) node = this.#step(node, next, links, head === undefined ? 'ENOENT' : 'ENOTDIR')
      else if (head === undefined) throw new Refusal('openat2', 'ENOENT')
      else node = this.#imply(node, part, head)
    }
    return node
  }

  /** The directory that a child is, or leads to. @param missing the errno for a link that leads to nothing */
  #step(parent: Node, child: Node, links: { left: number }, missing: string): Node {
    if (child.kind === 'directory') return child
    if (child.kind !== 'symlink') throw new Refusal('openat2', 'ENOTDIR')
    if (--links.left < 0) throw new Refusal('openat2', 'ELOOP')
    if (child.link.startsWith('/')) throw new Refusal('openat2', 'EXDEV')
    let node = parent
    for (const part of child.link.split('/')) {
      if (part === '' || part === '.') continue
      const next = part === '..' ? node.parent : childrenOf(node).get(part)
      if (next === undefined) throw new Refusal('openat2', part === '..' ? 'EXDEV' : missing)
      node = part === '..' ? next : this.#step(node, next, links, missing)
    }
    return node
  }

  /** A directory that the layer has no entry for: mode 0755, root's; below a set-group-id one its group and bit, as mkdir(2) does. */
  #imply(parent: Node, name: string, { seconds = 0, nanoseconds = 0 }: Head): Node {
    const node = this.#put(parent, name, new Node('directory', parent))
    node.seconds = seconds
    node.nanoseconds = nanoseconds
    if ((parent.mode & setgid) !== 0) {
      node.gid = parent.gid
      node.mode |= setgid
    }
    return node
  }

  #put(parent: Node, name: string, node: Node): Node {
    const children = childrenOf(parent)
    const there = children.get(name)
    if (there !== undefined) {
      unlink(there)
      // Its directories may be what the next entry's path was found to mean.
      if (there.kind === 'directory' || there.kind === 'symlink') this.#forgetLast()
    }
    children.set(name, node)
    return node
  }

  #forgetLast(): void {
    this.#lastPath = ''
    this.#lastDirectory = this.root
  }
}

function takeHead(node: Node, head: Head): void {
  const { mode = 0, uid = 0, gid = 0, seconds = 0, nanoseconds = 0 } = head
  node.take({ mode: mode & modeBits, uid, gid, seconds, nanoseconds })
  if (head.xattrs !== undefined) setXattrs(node, decodeXattrs(head.xattrs))
}

const prefixes = ['user.', 'trusted.', 'security.', 'system.posix_acl_']

function setXattrs(node: Node, xattrs: ReadonlyMap<string, Buffer>): void {
  for (const [name, value] of xattrs) {
    // User attributes stand on files and directories alone (xattr(7)): nothing depends on them.
    if (name.startsWith('user.') && node.kind !== 'file' && node.kind !== 'directory') continue
    if (!prefixes.some((prefix) => name.startsWith(prefix))) throw new Refusal('setxattr', 'ENOTSUP')
    if (name.length > longestName) throw new Refusal('setxattr', 'ERANGE')
    if (value.length > 65535) throw new Refusal('setxattr', 'E2BIG')
    node.xattrs ??= new Map()
    node.xattrs.set(name, value)
  }
}

function childrenOf(node: Node): Map<string, Node> {
  if (node.children === undefined) throw new Refusal('openat2', 'ENOTDIR')
  return node.children
}

/** One name less, and of a directory those below it. */
function unlink(node: Node): void {
  const waiting = [node]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    next.links--
    if (next.children !== undefined) waiting.push(...next.children.values())
  }
}

function split(path: string): { above: string; name: string } {
  const slash = path.lastIndexOf('/')
  return { above: path.slice(0, Math.max(slash, 0)), name: path.slice(slash + 1) }
}

function isNoName(name: string): boolean {
  return name === '' || name === '.' || name === '..'
}
