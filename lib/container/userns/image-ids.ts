/** How many ids an image needs, by its /etc/passwd and /etc/group, as Podman counts for `--userns=auto`. */
import { lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isErrno } from '../../storage/file-error.js'

/** What Podman gives at least and at most (`auto-userns-min-size` and `auto-userns-max-size` of containers-storage.conf(5)). */
export const fewestIds = 1024
export const mostIds = 65_536

/** More is no database of users. */
const largestFile = 16 * 1024 * 1024

/**
 * @param layers directories as overlay takes them, topmost first
 * @param user as the options or the image give it
 * @returns one more than the highest id, 1024 at least and 65536 at most: beyond that ids such as 4294967294 mean nobody
 */
export function countImageIds(layers: readonly string[], user: string): number {
  const named = user.split(':').filter((part) => /^\d{1,10}$/.test(part))
  const ids = [...named.map(Number), ...idsOf(fileOf(layers, 'passwd'), [2, 3]), ...idsOf(fileOf(layers, 'group'), [2])]
  const highest = ids.filter((id) => id < mostIds).reduce((most, id) => Math.max(most, id), 0)
  return Math.min(mostIds, Math.max(fewestIds, highest + 1))
}

/** The numbers of these fields of passwd(5) or group(5). */
function idsOf(text: string, fields: readonly number[]): number[] {
  return text.split('\n').flatMap((line) => {
    const parts = line.split(':')
    return fields.flatMap((field) => (/^\d{1,10}$/.test(parts[field] ?? '') ? [Number(parts[field])] : []))
  })
}

/** As an overlay of the layers shows it. Links lead out of a layer, and are not followed. */
function fileOf(layers: readonly string[], name: string): string {
  for (const layer of layers) {
    try {
      const etc = lstatSync(join(layer, 'etc'))
      // What is no directory hides those of the layers below.
      if (!etc.isDirectory()) return ''
      const path = join(layer, 'etc', name)
      const status = lstatSync(path)
      return status.isFile() && status.size <= largestFile ? readFileSync(path, 'utf8') : ''
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error
    }
  }
  return ''
}
