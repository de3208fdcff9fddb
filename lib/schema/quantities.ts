/** Sizes and durations as people write them: `'512m'`, `'10s'`. Pure. */

/** A number of bytes, or a number with a unit: b, k, m, g, t (powers of 1024, as podman-run(1) counts), `'512m'`, `'1.5GiB'`. */
export type Size = number | string

/** Milliseconds, or numbers with units: ms, s, m, h, `'10s'`, `'1m30s'`. */
export type Duration = number | string

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
}

/** What a size must look like, for messages. */
export const sizeWords = `a number of bytes or a size such as '512m' or '1.5g'`

/** Bytes; undefined when it is no size. */
export function parseSize(size: unknown): number | undefined {
  if (typeof size === 'number') return Number.isSafeInteger(size) && size >= 0 ? size : undefined
  if (typeof size !== 'string') return undefined
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([kmgtp]?)(?:i?b)?$/i.exec(size.trim())
  if (match === null) return undefined
  const bytes = Math.floor(Number(match[1]) * (sizeUnits[(match[2] ?? '').toLowerCase()] ?? 1))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** What a duration must look like, for messages. */
export const durationWords = `a number of milliseconds or a duration such as '10s' or '1m30s'`

/** Milliseconds; undefined when it is no duration. */
export function parseDuration(duration: unknown): number | undefined {
  if (typeof duration === 'number') return Number.isFinite(duration) && duration >= 0 ? duration : undefined
  if (typeof duration !== 'string') return undefined
  const text = duration.trim()
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return text === '0' ? 0 : undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (durationUnits[unit ?? ''] ?? 0)
  }
  return total
}
