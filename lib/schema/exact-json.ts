/**
 * JSON whose big whole numbers stay exact. `JSON.parse` reads 18446744073709551615 as 2^64, which in a seccomp rule is
 * another mask. Pure.
 */

/**
 * As `JSON.parse`; whole numbers beyond 2^53 of the properties `exactKeys` become bigints, others numbers.
 * @throws SyntaxError
 */
export function parseExactJson(text: string, exactKeys: ReadonlySet<string>): unknown {
  // Reports syntax errors with the positions of the text as it was given, and tells whether there is anything to do.
  const plain: unknown = JSON.parse(text)
  if (!/\d{16}/.test(text)) return plain
  const mark = unusedMark(JSON.stringify(plain))
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g, (token) =>
    token.startsWith('"') ? token : `"${mark}${token}"`,
  )
  return JSON.parse(marked, (key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value
    const digits = value.slice(mark.length)
    const number = Number(digits)
    return exactKeys.has(key) && !Number.isSafeInteger(number) ? BigInt(digits) : number
  })
}

/** As `JSON.stringify`, with bigints as their digits, and 2^64 as 2^64-1, which it stands for in an OCI spec. */
export function formatExactJson(value: unknown, indent?: number): string {
  const exact = (part: unknown): bigint | undefined =>
    typeof part === 'bigint' ? part : part === 2 ** 64 ? 2n ** 64n - 1n : undefined
  const mark = unusedMark(JSON.stringify(value, (_, part: unknown) => (exact(part) === undefined ? part : 0)))
  const text = JSON.stringify(
    value,
    (_, part: unknown) => {
      const number = exact(part)
      return number === undefined ? part : `${mark}${String(number)}`
    },
    indent,
  )
  return text.replace(new RegExp(`"${mark}(-?\\d+)"`, 'g'), '$1')
}

/** A word that no string of the JSON text has, so that none can be taken for a marked number. */
function unusedMark(text: string): string {
  let mark = 'exact:'
  while (text.includes(mark)) mark += ':'
  return mark
}
