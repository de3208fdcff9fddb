/**
 * /etc/ld.so.conf (ldconfig(8)): one directory a line, `#` comments, `include` of glob patterns. Used where there is no
 * ld.so.cache to ask.
 */
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'

const MAX_DEPTH = 8

/** The directories that a configuration names, in its order. Files that are missing or unreadable name none. */
export async function readLdConf(file: string, depth = 0): Promise<string[]> {
  if (depth > MAX_DEPTH) return []
  const directories: string[] = []
  for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
    const text = line.replace(/#.*/, '').trim()
    const [word, ...rest] = text.split(/\s+/)
    if (word === 'include') {
      for (const pattern of rest) {
        for (const included of await glob(resolve(dirname(file), pattern))) {
          directories.push(...(await readLdConf(included, depth + 1)))
        }
      }
    } else if (text.startsWith('/')) {
      // `directory=type` was the way to tell kinds of libraries apart; ldconfig still takes it.
      directories.push(text.replace(/=.*/, '').replace(/(?<=.)\/+$/, ''))
    }
  }
  return directories
}

/** glob(7) with wildcards in the last component, which is how every distribution writes its include. */
async function glob(pattern: string): Promise<string[]> {
  const [directory, last] = [dirname(pattern), basename(pattern)]
  const expression = new RegExp(
    `^${last
      .replace(/[\\^$+.()|{}]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')
      .replaceAll('[!', '[^')}$`,
  )
  const names = await readdir(directory).catch(() => [])
  return names
    .filter((name) => expression.test(name) && (last.startsWith('.') || !name.startsWith('.')))
    .sort()
    .map((name) => join(directory, name))
}
