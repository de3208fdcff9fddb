/**
 * Ranges of subordinate ids, as /etc/subuid and /etc/subgid give them to users: `name-or-uid:first:count` on each line
 * (subuid(5)). Pure. A line that is another user's is left alone, whatever is wrong with it, as newuidmap(1) does.
 */
import { show } from '../schema/faults.js'

/** Ids that follow one another. */
export interface SubIdRange {
  readonly first: number
  readonly count: number
}

/** Whose ranges: lines may name the user or give the uid. */
export interface SubIdOwner {
  readonly name?: string
  readonly uid?: number
}

/** What is wrong with a line. */
export interface SubIdFault {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  /**
   * - `malformed`: not `name:first:count`, or numbers that are no ids
   * - `overlapping`: ids that an earlier line gives to the same owner, or any line to another one
   * - `holds-root`: the host's own root is among the ids
   */
  readonly kind: 'malformed' | 'overlapping' | 'holds-root'
  /** Such as `/etc/subuid:3: 'me:100000' must be name:first:count`. */
  readonly message: string
}

/** What a file says of an owner. */
export interface SubIds {
  /** In the order of the file; what has a fault isn't among them. */
  readonly ranges: readonly SubIdRange[]
  /** Of the owner's lines alone. */
  readonly faults: readonly SubIdFault[]
}

/** 2^32-1 is how the kernel says 'no id'. */
const endOfIds = 2 ** 32 - 1

interface Entry extends SubIdRange {
  readonly line: number
  readonly owned: boolean
  readonly text: string
}

/** @param file its path, for the faults' messages */
export function parseSubIds(text: string, file: string, owner: SubIdOwner): SubIds {
  const faults: SubIdFault[] = []
  const fault = (line: number, kind: SubIdFault['kind'], message: string): void => {
    faults.push({ file, line, kind, message: `${file}:${String(line)}: ${message}` })
  }
  const entries: Entry[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const [name = '', ...numbers] = line.split(':')
    const owned = name === owner.name || (owner.uid !== undefined && name === String(owner.uid))
    const range = numbers.length === 2 ? rangeOf(numbers) : undefined
    if (range !== undefined) entries.push({ ...range, line: index + 1, owned, text: line })
    else if (owned) fault(index + 1, 'malformed', malformedWords(line, numbers))
  }
  const ranges: SubIdRange[] = []
  for (const entry of entries) {
    if (!entry.owned) continue
    const other = entries.find((one) => overlap(one, entry) && (one.owned ? one.line < entry.line : true))
    if (entry.first === 0) {
      fault(entry.line, 'holds-root', `${show(entry.text)} holds 0, the root of this machine; begin at 100000 or so`)
    } else if (other !== undefined) {
      const whose = other.owned ? '' : ', which is of another user'
      fault(
        entry.line,
        'overlapping',
        `${show(entry.text)} overlaps with ${show(other.text)} of line ${String(other.line)}${whose}; give it ids of its own`,
      )
    } else {
      ranges.push({ first: entry.first, count: entry.count })
    }
  }
  return { ranges, faults: faults.sort((a, b) => a.line - b.line) }
}

/** How many ids there are in all. */
export function countSubIds(ranges: readonly SubIdRange[]): number {
  return ranges.reduce((sum, { count }) => sum + count, 0)
}

function rangeOf(numbers: readonly string[]): SubIdRange | undefined {
  if (!numbers.every((text) => /^\d{1,10}$/.test(text))) return undefined
  const [first = 0, count = 0] = numbers.map(Number)
  return count > 0 && first + count <= endOfIds ? { first, count } : undefined
}

function malformedWords(line: string, numbers: readonly string[]): string {
  if (numbers.length !== 2) return `${show(line)} must be name:first:count`
  return `${show(line)} must give a first id and a count of 1 or more, and end before ${String(endOfIds)}`
}

function overlap(a: Entry, b: Entry): boolean {
  return a !== b && a.first < b.first + b.count && b.first < a.first + a.count
}
