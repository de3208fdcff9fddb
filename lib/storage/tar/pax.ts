/** Extended headers of pax(1): records `length key=value newline`, and what of them a layer is made of. */
import { invalidTar } from './invalid.js'

/** Records by key, as they stand; values are byte strings. Those of sparse maps 0.0 repeat, so they are kept apart. */
export interface PaxRecords {
  readonly values: Map<string, string>
  /** Alternately offset and length, of GNU.sparse.offset and GNU.sparse.numbytes (version 0.0). */
  readonly sparse: string[]
}

/** Take the body of an extended header apart. `offset` is for messages. */
export function parsePax(body: Buffer, offset: number): PaxRecords {
  const values = new Map<string, string>()
  const sparse: string[] = []
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at)
    const digits = space < 0 || space - at > 7 ? '' : body.toString('latin1', at, space)
    const length = /^[1-9][0-9]*$/.test(digits) ? Number(digits) : 0
    const end = at + length
    const equals = body.indexOf(0x3d, space)
    if (
      length === 0 ||
      end > body.length ||
      body[end - 1] !== 0x0a ||
      equals < 0 ||
      equals >= end - 1 ||
      equals === space + 1
    ) {
      // Some writers pad the last record with NULs.
      if (at > 0 && body.subarray(at).every((byte) => byte === 0)) break
      throw invalidTar('a damaged extended header', offset)
    }
    const key = body.toString('latin1', space + 1, equals)
    const value = body.toString('latin1', equals + 1, end - 1)
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      if ((key === 'GNU.sparse.offset') !== (sparse.length % 2 === 0)) throw invalidTar('a damaged sparse map', offset)
      sparse.push(value)
    } else {
      values.set(key, value)
    }
    at = end
  }
  return { values, sparse }
}

/** A whole number of an extended header, in decimal. @returns NaN when it is none */
export function paxNumber(value: string): number {
  const number = /^[0-9]{1,16}$/.test(value) ? Number(value) : NaN
  return Number.isSafeInteger(number) ? number : NaN
}

/** A time of an extended header: seconds with any number of decimals; nine count. @returns undefined when it is none */
export function paxTime(value: string): { seconds: number; nanoseconds: number } | undefined {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value)
  if (match === null) return undefined
  const seconds = Number(match[2])
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'))
  if (match[1] === '') return { seconds, nanoseconds }
  // A timespec counts its nanoseconds forwards: -1.5 is two seconds back and half a second on.
  return nanoseconds === 0
    ? { seconds: 0 - seconds, nanoseconds }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds }
}
