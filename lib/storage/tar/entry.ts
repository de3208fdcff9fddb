/**
 * What stands in a tar, as the reader gives it out. Names are strings of bytes (Latin-1, one character a byte), since
 * a name on Linux is any bytes but NUL: {@link displayName} makes one readable.
 */

export type TarEntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo'

/** A piece of a file that is there; what is between pieces is a hole. */
export interface TarChunk {
  readonly offset: number
  readonly length: number
}

export interface TarEntry {
  readonly type: TarEntryType
  /** As it stands in the tar: neither normalized nor checked for where it leads. */
  readonly name: string
  /** Where a link leads; empty for others. */
  readonly linkName: string
  /** Permission bits, 07777 at most. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of a file, holes counted; 0 for others. */
  readonly size: number
  readonly mtime: { readonly seconds: number; readonly nanoseconds: number }
  readonly major: number
  readonly minor: number
  /** Extended attributes by name. */
  readonly xattrs: ReadonlyMap<string, Buffer> | undefined
  /** The pieces whose bytes follow, in order of offset: one, from 0 to size, unless the file is sparse. */
  readonly chunks: readonly TarChunk[]
  /** Offset of the entry's header in the uncompressed tar. */
  readonly offset: number
  /** Offset of the first byte of the chunks, which stand one after the other. */
  readonly contentsAt: number
}

/** Receives what a tar holds, in order. What it throws comes out of the reader. */
export interface TarSink {
  entry(entry: TarEntry): void
  /** Bytes of the chunks of the entry before. Only valid during the call. */
  data(bytes: Buffer): void
}

/** A byte string as text, for messages. */
export function displayName(name: string): string {
  const shown = Buffer.from(name.length > 200 ? `${name.slice(0, 200)}...` : name, 'latin1').toString()
  // eslint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
  return shown.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => JSON.stringify(character).slice(1, -1))
}
