/**
 * The journal's export format, byte for byte whatever an entry holds (https://systemd.io/JOURNAL_EXPORT_FORMATS/): a line
 * `NAME=value` a field, or `NAME`, a newline, the value's length as u64, the value and a newline; an empty line ends the
 * entry. Pure.
 */

export type JournalFields = ReadonlyMap<string, Buffer>

const NEWLINE = 0x0a
const EQUALS = 0x3d

/** Cuts a byte stream into entries, whatever pieces it comes in. */
export class ExportReader {
  #rest: Buffer = Buffer.alloc(0)
  #fields = new Map<string, Buffer>()

  /** @returns the entries that are whole now */
  push(chunk: Buffer): JournalFields[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const entries: JournalFields[] = []
    let at = 0
    for (;;) {
      const end = bytes.indexOf(NEWLINE, at)
      if (end < 0) break
      if (end === at) {
        if (this.#fields.size > 0) entries.push(this.#fields)
        this.#fields = new Map()
        at = end + 1
        continue
      }
      const equals = bytes.subarray(at, end).indexOf(EQUALS)
      if (equals >= 0) {
        this.#fields.set(bytes.toString('latin1', at, at + equals), bytes.subarray(at + equals + 1, end))
        at = end + 1
        continue
      }
      if (bytes.length < end + 9) break
      const begin = end + 9
      const size = Number(bytes.readBigUInt64LE(end + 1))
      if (bytes.length < begin + size + 1) break
      this.#fields.set(bytes.toString('latin1', at, end), bytes.subarray(begin, begin + size))
      at = begin + size + 1
    }
    this.#rest = bytes.subarray(at)
    return entries
  }
}
