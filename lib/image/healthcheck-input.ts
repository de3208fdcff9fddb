/** A HEALTHCHECK as a caller writes it, checked and encoded as Docker has it in an image's configuration. Pure. */

const times = {
  interval: 'Interval',
  timeout: 'Timeout',
  startPeriod: 'StartPeriod',
  startInterval: 'StartInterval',
} as const

/** Reads a {@link Healthcheck}; adds to `faults` what is wrong with it. */
export function encodeHealthcheck(value: unknown, at: string, faults: string[]): unknown {
  if (typeof value !== 'object' || value === null || !Array.isArray((value as { test?: unknown }).test)) {
    faults.push(`${at}: must be an object with test, such as { test: ['CMD', 'true'] }`)
    return undefined
  }
  const encoded: Record<string, unknown> = {}
  for (const [key, given] of Object.entries(value) as [string, unknown][]) {
    if (given === undefined) continue
    if (key === 'test') encoded['Test'] = words(given, `${at}.test`, faults)
    else if (key === 'retries') encoded['Retries'] = count(given, `${at}.retries`, faults)
    // Go's time.Duration: nanoseconds.
    else if (Object.hasOwn(times, key)) {
      encoded[times[key as keyof typeof times]] = Math.round(count(given, `${at}.${key}`, faults) * 1e6)
    } else faults.push(`${at}.${key}: is not known; use test, retries, ${Object.keys(times).join(', ')}`)
  }
  return encoded
}

function words(value: unknown, at: string, faults: string[]): unknown {
  const list = value as readonly unknown[]
  if (list.some((word) => typeof word !== 'string' || word.includes('\0')))
    faults.push(`${at}: must be strings without NUL`)
  return list
}

function count(value: unknown, at: string, faults: string[]): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  faults.push(`${at}: must be a number that is not negative`)
  return 0
}
