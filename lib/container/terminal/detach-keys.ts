/** The keys that take one off a terminal: podman-attach(1)'s `--detach-keys`. Pure but for the stream at the end. */
import { Transform } from 'node:stream'
import { PodlingError } from '../../errors.js'
import { nearestName } from '../../schema/nearest-name.js'
import { show } from '../../schema/faults.js'

export const defaultDetachKeys = 'ctrl-p,ctrl-q'

/** What Ctrl makes of a key: `@` is 0, `a` is 1 ... (ascii(7)). */
const controls = Array.from('@abcdefghijklmnopqrstuvwxyz[\\]^_')

/**
 * The bytes that a sequence of keys sends: `'ctrl-p,ctrl-q'`, `'ctrl-x,x'`, `'DEL'`; `''`: none.
 * @throws PodlingError `INVALID_OPTION`
 */
export function parseDetachKeys(keys: string): Buffer {
  if (typeof keys !== 'string') {
    throw new PodlingError(
      'INVALID_OPTION',
      `detachKeys: must be a string such as '${defaultDetachKeys}', got ${show(keys)}`,
    )
  }
  return Buffer.from(keys === '' ? [] : keys.split(',').map((key) => code(key, keys)))
}

function code(key: string, keys: string): number {
  if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0)
  if (key === 'DEL') return 127
  const control = key.startsWith('ctrl-') && key.length === 6 ? controls.indexOf(key.slice(5)) : -1
  if (control >= 0) return control
  const near = nearestName(
    key,
    controls.map((name) => `ctrl-${name}`),
  )
  throw new PodlingError(
    'INVALID_OPTION',
    `detachKeys: must be single characters, DEL or ctrl-KEY with one of a-z @ [ \\ ] ^ _, with commas between, got ${show(key)} in ` +
      `${show(keys)}${near === undefined ? '' : `; did you mean ${near}?`}`,
  )
}

/**
 * Looks for a sequence in bytes that come in pieces. What may be its beginning is kept back until it is known (the algorithm
 * of Knuth, Morris and Pratt, so that a sequence is found whatever stands before it).
 */
export class KeyMatcher {
  readonly #keys: Buffer
  /** By how many keys have come: how many of them can still be a beginning when the next is another. */
  readonly #fallbacks: readonly number[]
  #matched = 0

  constructor(keys: Buffer) {
    this.#keys = keys
    const fallbacks = [0]
    for (let i = 1, length = 0; i < keys.length; i++) {
      while (length > 0 && keys[i] !== keys[length]) length = fallbacks[length - 1] ?? 0
      if (keys[i] === keys[length]) length++
      fallbacks.push(length)
    }
    this.#fallbacks = fallbacks
  }

  /** @returns what is to go on, and whether the sequence is complete; what stands behind it is dropped */
  push(chunk: Buffer): { readonly passed: Buffer; readonly complete: boolean } {
    const keys = this.#keys
    if (this.#matched === 0 && !chunk.includes(keys[0] ?? 0)) return { passed: chunk, complete: false }
    const before = this.#matched
    for (let i = 0; i < chunk.length; i++) {
      while (this.#matched > 0 && chunk[i] !== keys[this.#matched])
        this.#matched = this.#fallbacks[this.#matched - 1] ?? 0
      if (chunk[i] === keys[this.#matched]) this.#matched++
      if (this.#matched < keys.length) continue
      this.#matched = 0
      const all = Buffer.concat([keys.subarray(0, before), chunk.subarray(0, i + 1)])
      return { passed: all.subarray(0, all.length - keys.length), complete: true }
    }
    const all = Buffer.concat([keys.subarray(0, before), chunk])
    return { passed: all.subarray(0, all.length - this.#matched), complete: false }
  }

  /** What was kept back, at the end. */
  rest(): Buffer {
    const rest = this.#keys.subarray(0, this.#matched)
    this.#matched = 0
    return rest
  }
}

/** Passes bytes on until the keys come; then it tells, and passes nothing any more. */
export function watchForKeys(keys: Buffer, onKeys: () => void): Transform {
  const matcher = new KeyMatcher(keys)
  let over = false
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (over) {
        done()
        return
      }
      const { passed, complete } = matcher.push(chunk)
      over = complete
      if (passed.length > 0) this.push(passed)
      done()
      if (complete) onKeys()
    },
    flush(done) {
      done(null, over ? null : matcher.rest())
    },
  })
}
