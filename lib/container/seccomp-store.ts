import { createHash } from 'node:crypto'
import { PodlingError } from '../errors.js'
import { formatExactJson, parseExactJson } from '../schema/exact-json.js'
import type { LinuxSeccomp } from '../security/linux-seccomp.js'
import type { Table } from '../storage/database.js'

/**
 * The seccomp rules of containers, each kept once by its content: they are most of a spec, and nearly all containers have
 * the same ones. Who asks twice gets the same object, for which the compiled filter is known already.
 */
export class SeccompStore {
  readonly #table: Table<string>
  readonly #byKey = new Map<string, LinuxSeccomp>()
  /** Keys that were seen in the table; nothing is ever taken out of it. */
  readonly #written = new Set<string>()
  readonly #keys = new WeakMap<LinuxSeccomp, string>()

  constructor(table: Table<string>) {
    this.#table = table
  }

  /** The key of rules, by which this process finds them from now on. */
  keyOf(rules: LinuxSeccomp): string {
    const known = this.#keys.get(rules)
    if (known !== undefined) return known
    const text = formatExactJson(rules)
    const key = createHash('sha256').update(text).digest('hex')
    this.#keys.set(rules, key)
    this.#byKey.set(key, rules)
    return key
  }

  /** Write the rules of a key of this process down, where they aren't yet, as a part of the running transaction. */
  keep(key: string): void {
    if (this.#written.has(key)) return
    if (this.#table.get(key) === undefined) void this.#table.put(key, formatExactJson(this.get(key)))
    else this.#written.add(key)
  }

  /** @throws PodlingError `STATE_INVALID` when the database has lost them */
  get(key: string): LinuxSeccomp {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    const text = this.#table.get(key)
    if (text === undefined) throw new PodlingError('STATE_INVALID', `find seccomp rules ${key}: the database has none`)
    const rules = parseExactJson(text, new Set(['value', 'valueTwo'])) as LinuxSeccomp
    this.#keys.set(rules, key)
    this.#byKey.set(key, rules)
    return rules
  }
}
