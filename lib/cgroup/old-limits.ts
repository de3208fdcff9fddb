/** What limits were before they were changed, so that a change can be taken back. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { writeValue } from './directories.js'
import type { Write } from './places.js'

export class OldLimits {
  /** The latest first. */
  readonly #writes: Write[] = []

  /** Keep what a file says that is written to next. */
  async keep({ path, value }: Write): Promise<void> {
    const file = basename(path)
    // A controller that is handed down stays so: others may use it by now, and it limits nothing.
    if (file === 'cgroup.subtree_control') return
    try {
      this.#writes.unshift({ path, value: oldValue(file, value, await readFile(path, 'utf8')) })
    } catch {
      // What can't be read, such as a file that isn't there, will tell so when it is written to.
    }
  }

  /** @throws AggregateError of those that can't be written; all others are */
  async restore(): Promise<void> {
    const failures: unknown[] = []
    for (const { path, value } of this.#writes.splice(0)) {
      await writeValue(path, value).catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw new AggregateError(failures, 'write old limits again')
  }
}

/**
 * What has to be written to a file so that it says what it said. Pure.
 * @param value what is about to be written
 * @param text what it says
 */
export function oldValue(file: string, value: string, text: string): string {
  const [key = ''] = value.split(' ')
  const line = text.split('\n').find((one) => one.startsWith(`${key} `))
  // Of one disk each: what isn't listed has no limit.
  if (file.endsWith('_device')) return line ?? `${key} 0`
  if (file === 'io.max') return line ?? `${key} rbps=max wbps=max riops=max wiops=max`
  if (/^io\.(bfq\.)?weight$/.test(file)) return line ?? `${key} default`
  if (file === 'memory.oom_control') return /^oom_kill_disable 1/m.test(text) ? '1' : '0'
  // An empty list needs its newline: nothing at all would not even be a write.
  return text === '' ? '\n' : text
}
