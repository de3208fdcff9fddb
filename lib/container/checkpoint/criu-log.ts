import { open } from 'node:fs/promises'

/** Bytes of the end of a log that are looked through. */
const TAIL = 64 * 1024

/** What CRIU says of its own limits, and is no reason of a failure. */
const HARMLESS = /Can't setup RLIMIT_NOFILE for self|exited, status=/

/**
 * Why CRIU failed, in its own words: the errors of its log, the first of which mostly is the cause.
 * @returns undefined where there is no log, or no error in it
 */
export async function reasonIn(logFile: string): Promise<string | undefined> {
  let text: string
  try {
    const file = await open(logFile, 'r')
    try {
      const { size } = await file.stat()
      const from = Math.max(0, size - TAIL)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL), 0, TAIL, from)
      text = buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  } catch {
    return undefined
  }
  return reasonOf(text)
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
