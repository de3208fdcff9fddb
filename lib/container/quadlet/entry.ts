/** What an option becomes in a unit file. Pure. */
import { isPlain, word, type Setting } from './unit-text.js'

/** A line of a unit file, or what can't be said in one. */
export type Entry = { readonly setting: Setting } | { readonly omitted: string }

export function setting(section: string, key: string, value: string): Entry {
  return { setting: { section, key, value } }
}

/** Podman has nothing like it. */
export function omit(omitted: string): Entry {
  return { omitted }
}

/** The section of what is run, and how its options are said there. */
export class Section {
  readonly #name: string
  readonly #keys: ReadonlySet<string> | undefined

  /** @param keys those that it has; absent: all that are asked for */
  constructor(name: string, keys?: readonly string[]) {
    this.#name = name
    this.#keys = keys === undefined ? undefined : new Set(keys)
  }

  /** A flag of Podman's by its key, whose value is read raw: what would be read otherwise goes the flag's own way. */
  line(key: string, flag: string, value: string): Entry {
    if (isPlain(value) && this.#has(key)) return setting(this.#name, key, value)
    return this.flag(flag, value)
  }

  /** The same by a key whose value is read as words. */
  words(key: string, flag: string, ...words: readonly string[]): Entry[] {
    if (this.#has(key)) return [setting(this.#name, key, words.map(word).join(' '))]
    return words.map((one) => this.flag(flag, one))
  }

  /** A flag that has no key. */
  flag(flag: string, value?: string): Entry {
    return setting(this.#name, 'PodmanArgs', word(value === undefined ? `--${flag}` : `--${flag}=${value}`))
  }

  #has(key: string): boolean {
    return this.#keys === undefined || this.#keys.has(key)
  }
}
