/** The disk that brings the build and its dependencies into a guest: EROFS, which takes a second to make. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** What no spec reads, by path below the repository; a third of all bytes. */
const left = [
  String.raw`^\.git$`,
  String.raw`^\.(tap|docs)/.`,
  String.raw`^[^/]*\.tgz$`,
  '^node_modules/(@typescript|typescript|typescript-eslint|prettier|eslint|typedoc|@shikijs|es-toolkit|react-dom)/',
  String.raw`^node_modules/.*\.d\.[cm]?ts$`,
  String.raw`^node_modules/.*\.map$`,
]

export function makeRepoDisk(repository: string, file: string): void {
  // Where the guest mounts something of its own for what specs write.
  mkdirSync(join(repository, '.tap'), { recursive: true })
  const excluded = left.map((pattern) => `--exclude-regex=${pattern}`)
  execFileSync('mkfs.erofs', ['--quiet', '-x-1', '--all-root', ...excluded, file, repository], { stdio: 'pipe' })
}
