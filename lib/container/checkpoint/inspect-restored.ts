/**
 * What CRIU makes of images that come from anywhere is looked at before it runs: whatever the images say, the processes
 * must be locked in as those of a start are. All of it is asked of the kernel.
 */
import { readFile, readlink, stat } from 'node:fs/promises'
import { PodlingError } from '../../errors.js'
import type { Spec } from '../../launch/oci-spec.js'
import { capabilityMask } from '../../security/capabilities.js'
import { parseMountInfo, type MountInfo } from '../../sys/mountinfo.js'

export interface InspectInput {
  /** For messages: `restore container web`. */
  readonly what: string
  readonly spec: Spec
  /** CRIU's own pid: its mount namespace holds the root, its network namespace is the container's. */
  readonly criu: number
  /** All others that are in the container's cgroup. */
  readonly pids: readonly number[]
  /** Where the root stands in CRIU's mount namespace. */
  readonly root: string
  /** Where the mounts from outside stand there. */
  readonly mounts: string
}

/** Namespaces of types that a restored process may share with nobody, unless its spec says so. */
const types = { pid: 'pid', mnt: 'mount', ipc: 'ipc', uts: 'uts' } as const

/** @throws PodlingError `CHECKPOINT_INVALID` */
export async function inspectRestored(input: InspectInput): Promise<void> {
  const { criu, pids, what } = input
  if (pids.length === 0) throw refuse(what, 'no process of it is in the container')
  const [outside, root, own] = await Promise.all([
    mountsOf(criu),
    stat(`/proc/${String(criu)}/root${input.root}`),
    mountsOf('self'),
  ])
  const allowed = new Set(outside.filter(({ mountPoint }) => mountPoint.startsWith(`${input.mounts}/`)).map(mountId))
  const hosts = new Set(own.filter(({ type }) => !harmlessTypes.has(type)).map(({ device }) => device))
  for (const pid of pids) {
    await checkNamespaces(input, pid)
    checkStatus(input, pid, await readFile(`/proc/${String(pid)}/status`, 'utf8'))
    const its = await stat(`/proc/${String(pid)}/root/`)
    if (its.dev !== root.dev) throw refuse(what, `process ${String(pid)} has another root`)
    for (const mount of await mountsOf(pid)) {
      if (hosts.has(mount.device) && !allowed.has(mountId(mount)) && mount.mountPoint !== '/') {
        throw refuse(what, `it has mounted ${mount.root} of the host's ${mount.source} at ${mount.mountPoint}`)
      }
    }
  }
}

/** Of these a mount can be the host's by its number and is still no way to the host's files. */
const harmlessTypes: ReadonlySet<string> = new Set(['sysfs', 'mqueue', 'cgroup', 'cgroup2'])

function mountId({ device, root }: MountInfo): string {
  return `${device} ${root}`
}

async function mountsOf(pid: number | 'self'): Promise<MountInfo[]> {
  return parseMountInfo(await readFile(`/proc/${String(pid)}/mountinfo`, 'utf8'))
}

async function checkNamespaces({ what, spec, criu }: InspectInput, pid: number): Promise<void> {
  const own = (type: string): boolean => (spec.linux?.namespaces ?? []).some((one) => one.type === type)
  const read = (of: number | 'self', name: string): Promise<string> => readlink(`/proc/${String(of)}/ns/${name}`)
  for (const [name, type] of Object.entries(types)) {
    const [its, ours, its2] = await Promise.all([read(pid, name), read('self', name), read(criu, name)])
    if (own(type) && (its === ours || (type === 'mount' && its === its2))) {
      throw refuse(what, `process ${String(pid)} has no ${type} namespace of its own`)
    }
  }
  for (const name of ['net', 'user', 'cgroup']) {
    if ((await read(pid, name)) !== (await read(criu, name))) {
      throw refuse(what, `process ${String(pid)} is in another ${name} namespace than the container`)
    }
  }
}

function checkStatus({ what, spec }: InspectInput, pid: number, status: string): void {
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? ''
  const bounding = capabilityMask(spec.process?.capabilities?.bounding ?? [])
  for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    const more = BigInt(`0x${field(name)}`) & ~bounding
    if (more !== 0n) throw refuse(what, `process ${String(pid)} has capabilities beyond the container's (${name})`)
  }
  if (spec.linux?.seccomp !== undefined && field('Seccomp') !== '2') {
    throw refuse(what, `process ${String(pid)} has no seccomp filter`)
  }
  if (spec.process?.noNewPrivileges && field('NoNewPrivs') !== '1') {
    throw refuse(what, `process ${String(pid)} can gain privileges`)
  }
}

function refuse(what: string, why: string): PodlingError {
  return new PodlingError('CHECKPOINT_INVALID', `${what}: the checkpoint makes processes that it may not: ${why}`)
}
