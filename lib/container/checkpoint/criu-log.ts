import { open } from 'node:fs/promises'

/** Bytes of the end of a log that are looked through. */
const TAIL = 64 * 1024

/** What CRIU says of its own limits, and is no reason of a failure. */
const HARMLESS = /Can't setup RLIMIT_NOFILE for self|Unable to create tun|exited, status=/

/**
 * Why CRIU failed, in its own words: the errors of its log, the first of which mostly is the cause.
 * @returns undefined where there is no log, or no error in it
 */
export async function reasonIn(logFile: string): Promise<string | undefined> {
  const text = await endOf(logFile)
  return text === undefined ? undefined : reasonOf(text)
}

/** @returns undefined where there is no log */
export async function endOf(logFile: string, size = TAIL): Promise<string | undefined> {
  try {
    const file = await open(logFile, 'r')
    try {
      const from = Math.max(0, (await file.stat()).size - size)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, from)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch {
    return undefined
  }
}

/** Pure. */
export function reasonOf(log: string): string | undefined {
  const errors = [...log.matchAll(/^\(\d+\.\d+\) *(?:\d+: )?Error \([^)]*\): (.*)$/gm)]
    .map(([, words = '']) => words.trim())
    .filter((words) => !HARMLESS.test(words))
  const [first, ...rest] = errors.filter((words) => !/^(?:Dumping|Restoring|Pre-dumping) FAILED\.?$/.test(words))
  if (first === undefined) return errors[0]
  return [first, ...rest.slice(0, 2)].join('; ')
}
