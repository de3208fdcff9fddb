/** What the host's resolv.conf(5) says to a container that is not on the host's network. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The stub of systemd-resolved(8), which listens on the host's loopback alone. */
const stub = '127.0.0.53'

const nameserver = /^[ \t]*nameserver[ \t]+(\S+)/gm
const onLoopback = /^[ \t]*nameserver[ \t]+(?:127\.|::1(?![^\s%]))[^\n]*$/gm

/** The file as it is, as far as it can be read: that there is none is an ordinary case. */
export function hostResolvConf(root = '/'): string | undefined {
  return readIfThere(join(root, 'etc/resolv.conf'))
}

/**
 * The host's resolvers as far as they can be reached from elsewhere than the host itself. Where its file names the stub
 * of systemd-resolved alone, those that the stub asks, as Podman has it.
 */
export function reachableResolvConf(root = '/'): string | undefined {
  const text = hostResolvConf(root)
  if (text === undefined) return undefined
  const servers = [...text.matchAll(nameserver)].map((match) => match[1])
  const stubAlone = servers.length > 0 && servers.every((server) => server === stub)
  const behind = stubAlone ? readIfThere(join(root, 'run/systemd/resolve/resolv.conf')) : undefined
  return (behind ?? text).replaceAll(onLoopback, '')
}

/** Also undefined for a link that leads nowhere, as one to a file below /run may early in a boot. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
