/**
 * The digests of files that this process has hashed, so that what is read again and again is hashed once: a checkpoint
 * that several containers are restored from.
 */
import { createHash } from 'node:crypto'
import { open, statfs, type FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'

/** How old the last change of a file must be: two changes within the grain of the clock would look like one (ms). */
const GRAIN = 1000

const MOST = 1024

/** File systems whose change times are the kernel's own; those of FUSE and of the network are anybody's (statfs(2)). */
const honestFileSystems: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0xf2f52010, // f2fs
])

export class FileDigests {
  readonly #known = new Map<string, string>()

  /** The file's SHA-256, hexadecimal. */
  async of(path: string): Promise<string> {
    const file = await open(path)
    try {
      const key = await stampOf(file)
      const known = key === undefined ? undefined : this.#known.get(key)
      if (known !== undefined) return known
      const hash = createHash('sha256')
      await pipeline(file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 }), hash)
      const digest = hash.digest('hex')
      // What changed meanwhile has a change time that is too young.
      if (key !== undefined && key === (await stampOf(file))) this.#remember(key, digest)
      return digest
    } finally {
      await file.close()
    }
  }

  #remember(key: string, digest: string): void {
    const [oldest] = this.#known.keys()
    if (this.#known.size >= MOST && oldest !== undefined) this.#known.delete(oldest)
    this.#known.set(key, digest)
  }
}

/** What no change of the file leaves as it is; undefined where that can't be relied on. */
async function stampOf(file: FileHandle): Promise<string | undefined> {
  const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await file.stat({ bigint: true })
  if (Date.now() - Number(ctimeMs) < GRAIN) return undefined
  const { type } = await statfs(`/proc/self/fd/${String(file.fd)}`)
  return honestFileSystems.has(type) ? [dev, ino, size, mtimeNs, ctimeNs].join(' ') : undefined
}
