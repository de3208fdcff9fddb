/** Which image is meant: names, ids and digests to records, and the records' changes. All of it in one database. */
import { PodlingError } from '../errors.js'
import { isDigest, shortDigest } from '../image/digest.js'
import { formatReference, parseReference, repositoryName, type Reference } from '../image/reference.js'
import type { Database, Table } from './database.js'
import type { ImageRecord } from './image.js'

/** Fewer hex digits than this are not taken for the beginning of an id. */
const shortestPrefix = 3

export class ImageIndex {
  /** By id. */
  readonly #records: Table<ImageRecord>
  /** Ids by canonical name. */
  readonly #names: Table<string>

  constructor(database: Database) {
    this.#records = database.table('images')
    this.#names = database.table('image-names')
  }

  list(): ImageRecord[] {
    return [...this.#records.entries()].map(([, record]) => record)
  }

  byId(id: string): ImageRecord | undefined {
    return this.#records.get(id)
  }

  /**
   * The image that a text means: a name, a digest, `name@digest`, an id or the beginning of one.
   * @throws {PodlingError} INVALID_REFERENCE, also for a beginning that several ids share; IMAGE_NOT_FOUND
   */
  find(text: string): ImageRecord {
    if (isDigest(text)) {
      const record = this.#records.get(text) ?? this.#byDigest(text)
      if (record) return record
      throw notFound(text, 'no image here has this id or digest')
    }
    const prefix = idPrefix(text)
    const whole = prefix?.length === 64 ? this.#records.get(`sha256:${prefix}`) : undefined
    if (whole) return whole
    const reference = parseName(text, prefix !== undefined)
    const record =
      (reference && this.#byReference(reference)) ?? (prefix === undefined ? undefined : this.#byPrefix(prefix))
    if (record) return record
    throw notFound(text, this.#hint(text, reference))
  }

  /** Put a record and give it its names, which other images lose. Within a transaction. */
  put(record: ImageRecord): void {
    for (const name of record.names) {
      const owner = this.#names.get(name)
      if (owner !== undefined && owner !== record.id) this.#takeName(owner, name)
      void this.#names.put(name, record.id)
    }
    void this.#records.put(record.id, record)
  }

  /** Take one name from an image, which stays. Within a transaction. */
  removeName(record: ImageRecord, name: string): void {
    void this.#names.remove(name)
    this.#takeName(record.id, name)
  }

  /** Remove an image with all its names. Within a transaction. */
  remove(record: ImageRecord): void {
    for (const name of record.names) if (this.#names.get(name) === record.id) void this.#names.remove(name)
    void this.#records.remove(record.id)
  }

  #takeName(id: string, name: string): void {
    const record = this.#records.get(id)
    if (record) void this.#records.put(id, { ...record, names: record.names.filter((other) => other !== name) })
  }

  #byReference(reference: Reference): ImageRecord | undefined {
    const { digest } = reference
    if (digest !== undefined) return this.#byDigest(digest)
    const id = this.#names.get(formatReference(reference))
    return id === undefined ? undefined : this.#records.get(id)
  }

  #byDigest(digest: string): ImageRecord | undefined {
    return this.list().find(({ digests }) => digests.includes(digest))
  }

  #byPrefix(prefix: string): ImageRecord | undefined {
    const found = this.list().filter(({ id }) => id.startsWith(`sha256:${prefix}`))
    if (found.length < 2) return found[0]
    const shown = found.map(({ id, names }) => `${shortDigest(id)} (${names[0] ?? 'no name'})`).join(', ')
    throw new PodlingError('INVALID_REFERENCE', `the id ${prefix} is ambiguous: ${shown}; write more of it`)
  }

  #hint(text: string, reference: Reference | undefined): string {
    if (!reference) return 'no image here has an id that begins so'
    const repository = repositoryName(reference)
    const others = [...this.#names.entries()]
      .map(([name]) => name)
      .filter((name) => repositoryName(parseReference(name)) === repository)
    const there = others.length === 0 ? '' : `; of the same repository there is ${others.slice(0, 10).join(', ')}`
    return `there is no ${formatReference(reference)} here${there}; get it with images.pull(${JSON.stringify(text)}), load, import or fromHost`
  }
}

function idPrefix(text: string): string | undefined {
  const hex = text.startsWith('sha256:') ? text.slice('sha256:'.length) : text
  return /^[0-9a-f]+$/.test(hex) && hex.length >= shortestPrefix && hex.length <= 64 ? hex : undefined
}

/** A beginning of an id need not be a good name. */
function parseName(text: string, mayFail: boolean): Reference | undefined {
  if (!mayFail) return parseReference(text)
  try {
    return parseReference(text)
  } catch {
    return undefined
  }
}

function notFound(text: string, why: string): PodlingError {
  return new PodlingError('IMAGE_NOT_FOUND', `image ${JSON.stringify(text)}: ${why}`)
}
