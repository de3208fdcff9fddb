/** Paths of mounts, brought into one form. Pure. */
import { posix } from 'node:path'

/** Without `.`, `..`, double and trailing slashes, so that the same place has one name. */
export function cleanPath(path: string): string {
  return posix.resolve('/', path)
}

/** An absolute path that is not the root itself. */
export function isBelowRoot(path: string): boolean {
  return path.startsWith('/') && cleanPath(path) !== '/'
}
