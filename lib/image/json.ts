/**
 * Reading JSON that a stranger wrote. A {@link JsonReader} knows where it stands in its document, so that every
 * complaint names the place: `manifest sha256:ab12: layers[2].size: must be an integer from 0 to 2^53-1, got "x"`.
 * Only own properties are read, results are fresh objects, and Go's `null` for an empty list or map counts as absent. Pure.
 */
import { PodlingError, type ErrorCode } from '../errors.js'

/** The largest manifest, index or config that is read: 4 MiB, the least that registries must accept. */
export const maxDocumentBytes = 4 * 1024 * 1024

/** A document as text, parsed; size and UTF-8 are checked. */
export function parseJson(bytes: Uint8Array, what: string, code: ErrorCode = 'IMAGE_INVALID'): JsonReader {
  if (bytes.byteLength > maxDocumentBytes) {
    throw new PodlingError(
      code,
      `${what}: has ${String(bytes.byteLength)} bytes; at most ${String(maxDocumentBytes)} are read`,
    )
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new PodlingError(code, `${what}: is not JSON`, { cause })
  }
  return new JsonReader(value, what, '', code)
}

export class JsonReader {
  readonly value: unknown
  readonly #what: string
  readonly #path: string
  readonly #code: ErrorCode

  constructor(value: unknown, what: string, path: string, code: ErrorCode) {
    this.value = value
    this.#what = what
    this.#path = path
    this.#code = code
  }

  get present(): boolean {
    return this.value !== undefined && this.value !== null
  }

  /** Throw, naming this place. */
  fail(reason: string): never {
    throw new PodlingError(this.#code, `${this.#what}: ${this.#path === '' ? '' : `${this.#path}: `}${reason}`)
  }

  /** A property of this object; a missing one is a reader of `undefined`. */
  get(key: string): JsonReader {
    const object = this.object()
    return this.#at(
      Object.hasOwn(object, key) ? object[key] : undefined,
      this.#path === '' ? key : `${this.#path}.${key}`,
    )
  }

  object(): Readonly<Record<string, unknown>> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) {
      return this.#wrong('an object')
    }
    return this.value as Record<string, unknown>
  }

  /** The elements of this list; none when it is absent. */
  list(limit = 10_000): JsonReader[] {
    if (!this.present) return []
    if (!Array.isArray(this.value)) return this.#wrong('a list')
    if (this.value.length > limit)
      return this.fail(`has ${String(this.value.length)} elements; at most ${String(limit)} are read`)
    return this.value.map((element: unknown, index) => this.#at(element, `${this.#path}[${String(index)}]`))
  }

  /** The properties of this map; none when it is absent. */
  entries(limit = 10_000): [string, JsonReader][] {
    if (!this.present) return []
    const entries = Object.entries(this.object())
    if (entries.length > limit)
      return this.fail(`has ${String(entries.length)} entries; at most ${String(limit)} are read`)
    return entries.map(([key, value]) => [key, this.#at(value, `${this.#path}[${JSON.stringify(key)}]`)])
  }

  string(): string {
    if (typeof this.value !== 'string') return this.#wrong('a string')
    if (this.value.includes('\0')) return this.fail('has a NUL character')
    return this.value
  }

  /** A string, or undefined when it is absent or empty (Go writes `""` for no value). */
  optionalString(): string | undefined {
    return this.present ? this.string() || undefined : undefined
  }

  boolean(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.#wrong('true or false')
  }

  /** Refuse properties of this object that there aren't: what they ask for would not be done. */
  only(known: readonly string[]): void {
    for (const key of Object.keys(this.object())) {
      if (!known.includes(key)) this.get(key).fail(`is not known here; there are ${known.join(', ')}`)
    }
  }

  integer(maximum = Number.MAX_SAFE_INTEGER): number {
    const { value } = this
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > maximum) {
      return this.#wrong(`an integer from 0 to ${maximum === Number.MAX_SAFE_INTEGER ? '2^53-1' : String(maximum)}`)
    }
    return value
  }

  strings(limit?: number): string[] {
    return this.list(limit).map((element) => element.string())
  }

  /** A map of strings. `Object.fromEntries` defines own properties, so that a key `__proto__` stays a mere key. */
  stringMap(): Record<string, string> {
    return Object.fromEntries(this.entries().map(([key, value]) => [key, value.present ? value.string() : '']))
  }

  #at(value: unknown, path: string): JsonReader {
    return new JsonReader(value, this.#what, path, this.#code)
  }

  #wrong(expected: string): never {
    const got = this.value === undefined ? 'nothing' : JSON.stringify(this.value)
    return this.fail(`must be ${expected}, got ${got.length > 80 ? `${got.slice(0, 80)}...` : got}`)
  }
}
