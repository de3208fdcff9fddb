/** Users and groups by their names: passwd(5) and group(5). */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { parseIdMap, type IdMapLine } from '../../launch/rootless/id-maps.js'
import { openBeneath } from '../../sys/file-calls.js'
import type { ProcessDirectory } from '../../sys/process-directory.js'
import type { Names } from './process-info.js'

/** Nobody has more users; whoever makes such a file wants to be read for long. */
const MOST = 1 << 20

/** Of the host. */
export function hostNames(): Names {
  return names((name) => readRegular(() => openSync(`/etc/${name}`, constants.O_RDONLY | constants.O_NONBLOCK)))
}

/**
 * Of a container, by the files that its pid 1 sees; those that are mounted there are left out. It may be hostile: what it
 * puts in their places must lead nowhere else, and must make nobody wait, as a FUSE server that doesn't answer would.
 * @param trustedFuse its root is a FUSE file system that this runtime has mounted
 */
export function containerNames(process: ProcessDirectory, trustedFuse: boolean): Names {
  const root = /^\d+ \d+ \d+:\d+ \S+ \/ .* - (\S+)/m.exec(process.read('mountinfo') ?? '')?.[1]
  if (root === undefined || (root.startsWith('fuse') && !trustedFuse)) return names(() => '')
  let fd: number
  try {
    fd = openSync(process.path('root'), constants.O_RDONLY | constants.O_DIRECTORY)
  } catch {
    return names(() => '')
  }
  try {
    return names((name) => readRegular(() => openBeneath(fd, `etc/${name}`)))
  } finally {
    closeSync(fd)
  }
}

/** The same by the ids that a host counts by. @param process one of the container's, whose user namespace it is */
export function mappedNames(names: Names, process: ProcessDirectory): Names {
  const [uids, gids] = ['uid_map', 'gid_map'].map((file) => parseIdMap(process.read(file) ?? ''))
  return {
    user: (uid) => names.user(insideId(uids, uid)),
    group: (gid) => names.group(insideId(gids, gid)),
  }
}

/** What the kernel shows for an id that a namespace has no word for (user_namespaces(7), overflowuid). */
const nobody = 65_534

function insideId(map: readonly IdMapLine[] | undefined, id: number): number {
  const line = map?.find(([, outside, count]) => id >= outside && id < outside + count)
  return line === undefined ? nobody : line[0] + id - line[1]
}

function names(read: (file: 'passwd' | 'group') => string): Names {
  const users = parse(read('passwd'))
  const groups = parse(read('group'))
  return {
    user: (uid) => users.get(uid) ?? String(uid),
    group: (gid) => groups.get(gid) ?? String(gid),
  }
}

/** Both have a name first and a number third. The first line for a number counts (getpwuid(3)). */
function parse(text: string): Map<number, string> {
  const found = new Map<number, string>()
  for (const line of text.split('\n')) {
    const [name, , number] = line.split(':')
    if (name !== undefined && number !== undefined && /^\d+$/.test(number) && !found.has(Number(number))) {
      found.set(Number(number), name)
    }
  }
  return found
}

function readRegular(open: () => number): string {
  let fd: number | undefined
  try {
    fd = open()
    const { size } = fstatSync(fd)
    if (!fstatSync(fd).isFile() || size > MOST) return ''
    const bytes = Buffer.alloc(size)
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, size, 0))
  } catch {
    return ''
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
