/** What mount.nfs(8) does for mount(8): find the server's addresses, and a version of NFS that it speaks. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { PodlingError } from '../../errors.js'
import { KeeperFailure } from './keeper.js'
import type { LocalMount } from './local-options.js'

/** NFS 3 isn't tried by itself as mount.nfs(8) would: its locks want rpcbind(8) and rpc.statd(8) on this machine, too. */
const versions = ['4.2', '4.1', '4.0']

const anyFour = /^(?:(?:nfs)?vers=|v)4$/
const oneVersion = /^(?:(?:nfs)?vers|minorversion)=|^v[234](?:\.\d)?$/

/** Another address of the server may do. */
const unreached = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ETIMEDOUT']

export function isNfs(fstype: string): boolean {
  return fstype === 'nfs' || fstype === 'nfs4'
}

/**
 * Try addresses and versions, unless one is named, with the options of the file system that say so: the kernel takes no name
 * of a server, and NFS 3 when told no version.
 * @param attempt its `KeeperFailure` tells whether another may do
 * @throws PodlingError `INVALID_OPTION` when no server is named, `VOLUME_FAILED` when it has no address
 */
export async function mountNfs<T>(
  name: string,
  mount: LocalMount,
  attempt: (options: readonly string[]) => Promise<T>,
): Promise<T> {
  let failure: unknown
  for (const addressed of await withAddresses(name, mount)) {
    for (const options of withVersions(addressed)) {
      try {
        return await attempt(options)
      } catch (error) {
        failure = error
        const errno = error instanceof KeeperFailure ? (error.errno ?? '') : ''
        if (unreached.includes(errno)) break
        if (errno !== 'EPROTONOSUPPORT') throw error
      }
    }
  }
  throw failure
}

function withVersions(options: readonly string[]): readonly (readonly string[])[] {
  const others = options.filter((option) => !anyFour.test(option))
  if (others.some((option) => oneVersion.test(option))) return [options]
  return versions.map((version) => [...others, `vers=${version}`])
}

async function withAddresses(
  name: string,
  { fstype, device, options }: LocalMount,
): Promise<readonly (readonly string[])[]> {
  const given = options.find((option) => option.startsWith('addr='))
  const server = given?.slice('addr='.length) ?? /^\[?([^\]/]+?)\]?:\//.exec(device)?.[1]
  if (server === undefined) {
    throw new PodlingError(
      'INVALID_OPTION',
      `mount volume ${name}: options.device must be 'server:/path' for ${fstype}, or options.o say addr=SERVER; got ${device}`,
    )
  }
  if (given !== undefined && isIP(server) !== 0) return [options]
  try {
    const found = await lookup(server, { all: true })
    const others = options.filter((option) => option !== given)
    return found.map(({ address }) => [...others, `addr=${address}`])
  } catch (error) {
    throw new PodlingError('VOLUME_FAILED', `mount volume ${name}: there is no address for the server ${server}`, {
      cause: error,
    })
  }
}
