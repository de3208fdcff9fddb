import { readdir, readFile, readlink } from 'node:fs/promises'
import { isErrno } from '../../storage/file-error.js'

const LISTEN = '0A'

/** Socket inodes that listen on a port, from the text of /proc/net/tcp or tcp6 (proc_net_tcp(5)). Pure. */
export function listeningInodes(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes: string[] = []
  for (const line of table.split('\n').slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    if (state === LISTEN && inode !== undefined && local?.slice(local.lastIndexOf(':') + 1) === wanted)
      inodes.push(inode)
  }
  return inodes
}

/**
 * Whether a process of the container accepts connections on a TCP port. It is read from the kernel, inside the
 * container's network namespace, so that no connection has to be made, and on the host's network another program's
 * listener isn't mistaken for it.
 */
export async function isListening(pid: number, port: number): Promise<boolean> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readText(`/proc/${String(pid)}/net/${name}`)))
  const inodes = new Set(tables.flatMap((table) => listeningInodes(table, port)))
  if (inodes.size === 0) return false
  for (const member of await processTree(pid)) if (await holdsSocket(member, inodes)) return true
  return false
}

/** A process and all below it. Orphans of a pid namespace are below its pid 1. */
async function processTree(pid: number): Promise<number[]> {
  const tree = [pid]
  for (let next = 0; next < tree.length; next++) {
    const task = `/proc/${String(tree[next])}/task`
    for (const thread of await list(task)) {
      const children = await readText(`${task}/${thread}/children`)
      tree.push(
        ...children
          .split(' ')
          .filter((word) => word !== '')
          .map(Number),
      )
    }
  }
  return tree
}

async function holdsSocket(pid: number, inodes: ReadonlySet<string>): Promise<boolean> {
  const directory = `/proc/${String(pid)}/fd`
  for (const fd of await descriptors(directory)) {
    // One of another user than this process is (proc_pid_fd(5)): there is a listener, and nothing tells that it is not its own.
    if (fd === undefined) return true
    const target = await readlink(`${directory}/${fd}`).catch(() => '')
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined && inodes.has(inode)) return true
  }
  return false
}

async function descriptors(directory: string): Promise<readonly (string | undefined)[]> {
  return readdir(directory).catch((error: unknown) => (isErrno(error, 'EACCES') ? [undefined] : []))
}

// Processes come and go while they are looked at; one that has gone holds nothing.
const list = (directory: string): Promise<string[]> => readdir(directory).catch(() => [])
const readText = (path: string): Promise<string> => readFile(path, 'latin1').catch(() => '')
