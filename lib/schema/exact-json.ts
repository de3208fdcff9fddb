/**
 * JSON whose big whole numbers stay exact. `JSON.parse` reads 18446744073709551615 as 2^64, which in a seccomp rule is
 * another mask. Pure.
 */

/** A string that JSON text can hold only as an escape, so that no string of the text can be taken for a marked number. */
const mark = '\u0000exact:'

/**
 * As `JSON.parse`; whole numbers beyond 2^53 of the properties `exactKeys` become bigints, others numbers.
 * @throws SyntaxError
 */
export function parseExactJson(text: string, exactKeys: ReadonlySet<string>): unknown {
  // Reports syntax errors with the positions of the text as it was given, and tells whether there is anything to do.
  const plain: unknown = JSON.parse(text)
  if (!/\d{16}/.test(text)) return plain
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (token) =>
    token.startsWith('"') ? token : `"\\u0000exact:${token}"`,
  )
  return JSON.parse(marked, (key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value
    const digits = value.slice(mark.length)
    const number = Number(digits)
    return exactKeys.has(key) && !Number.isSafeInteger(number) ? BigInt(digits) : number
  })
}

/** As `JSON.stringify`, with bigints as their digits and {@link Number} 2^64 as 2^64-1, which it stands for in an OCI spec. */
export function formatExactJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(
    value,
    (_, part: unknown) => {
      if (typeof part === 'bigint') return `${mark}${String(part)}`
      return part === 2 ** 64 ? `${mark}${String(2n ** 64n - 1n)}` : part
    },
    indent,
  )
  return text.replace(/"\\u0000exact:(-?\d+)"/g, '$1')
}
