/** Certificates of authorities for single registries, where Podman and Docker keep them (containers-certs.d(5)). */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type * as Tls from 'node:tls'
import { late } from '../late.js'

const tls = late('node:tls') as () => typeof Tls

/** Directories that have one directory per registry. */
export const certificateDirectories: readonly string[] = ['/etc/containers/certs.d', '/etc/docker/certs.d']

/**
 * The authorities to trust for a registry: the `*.crt` of its directories and the well-known ones.
 * @returns none when it has no directory of its own: then Node's own set holds
 */
export async function findAuthorities(directories: readonly string[], registry: string): Promise<string[]> {
  const found: string[] = []
  for (const directory of directories) {
    const own = join(directory, registry)
    for (const name of await list(own)) {
      if (name.endsWith('.crt')) found.push(await readFile(join(own, name), 'utf8'))
    }
  }
  return found.length === 0 ? [] : [...tls().rootCertificates, ...found]
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch {
    return []
  }
}
