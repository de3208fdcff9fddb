/** The user of this process, in the databases of a container that keeps his id, as Podman has it. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { PlanAccount } from '../../launch/operation.js'
import type { KeptUser } from './choice.js'

/** What is known of an account of the host. */
export interface HostAccount {
  readonly name: string
  /** The first of the parts of its comment. */
  readonly fullName: string
  readonly home: string
  readonly group: string
}

export interface AccountInput {
  /** Who he is in the container. */
  readonly kept: KeptUser
  /** Absent: he is somebody else there than on the host. */
  readonly account?: HostAccount
  readonly workdir: string
  /** Where something is mounted by the caller's wish. */
  readonly mounts: readonly string[]
}

/** His home is the working directory, unless his own is mounted. Pure. */
export function accountLines({ kept: { uid, gid }, account, workdir, mounts }: AccountInput): PlanAccount {
  const { name, fullName, home, group } = account ?? {
    name: String(uid),
    fullName: 'container user',
    home: '',
    group: String(gid),
  }
  const ownHome = isMounted(home, mounts) ? home : workdir
  return {
    user: name,
    uid,
    passwd: `${[name, '*', uid, gid, fullName, ownHome, '/bin/sh'].join(':')}\n`,
    group,
    gid,
    members: `${[group, 'x', gid, name].join(':')}\n`,
  }
}

function isMounted(home: string, mounts: readonly string[]): boolean {
  for (let path = home; path.startsWith('/') && path !== '/'; path = dirname(path))
    if (mounts.includes(path)) return true
  return false
}

/** By /etc/passwd and /etc/group; one who isn't there has his numbers for names. */
export function hostAccount({ uid, gid }: KeptUser): HostAccount {
  const user = fieldsOf('/etc/passwd', 2, uid)
  const group = fieldsOf('/etc/group', 2, gid)
  return {
    name: user?.[0] ?? String(uid),
    fullName: user?.[4]?.split(',')[0] ?? '',
    home: user?.[5] ?? '',
    group: group?.[0] ?? String(gid),
  }
}

function fieldsOf(file: string, index: number, id: number): string[] | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  return text.split('\n').map((line) => line.split(':')).find((fields) => fields[index] === String(id)) // prettier-ignore
}
