/** A container of a pod enters the namespaces that the pod's holder keeps. */
import { closeSync, openSync } from 'node:fs'
import type { MountSource } from '../launch/compile/input.js'
import type { Spec, SpecMount, SpecNamespaceType } from '../launch/oci-spec.js'
import { givenDescriptor } from '../launch/plan.js'
import { PodlingError } from '../errors.js'
import { isAnothers } from '../network/mode.js'
import type { ContainerContext } from './context.js'
import { findPod } from './find-pod.js'
import type { Lifecycle } from './lifecycle.js'
import { namespaceTypes, type PodPlace } from './pod-place.js'

/** What a start needs of its pod. */
export interface PodJoin {
  readonly spec: Spec
  readonly sources: readonly MountSource[]
  /** The holder's mount namespace, of which the pod's /dev/shm is taken. */
  readonly peer?: string
  /** Of the namespaces that it joins, those that belong to the pod's own user namespace. */
  readonly owned: readonly SpecNamespaceType[]
  /** The descriptors that the namespaces of `spec` and `peer` name: the first that are to be held by the monitor. Whoever takes them closes them. */
  take(): number[]
  /** Close what was not taken. */
  close(): void
}

/** The slot below those of images, of which there are some, and above those of shared binds. */
const shmSlot = 31

/**
 * @param spec of which the namespaces to share get a path
 * @throws PodlingError `INVALID_STATE` when the holder ends meanwhile
 */
export async function joinPod({ context, record }: Lifecycle, spec: Spec): Promise<PodJoin> {
  const { pod } = record
  if (pod === undefined) return { spec, sources: [], owned: [], take: () => [], close: () => undefined }
  const monitor = await context.pods.access.holder(pod.id)
  if (monitor === undefined) throw stopped(record.name)
  const opened: number[] = []
  const take = (): number[] => opened.splice(0)
  const close = (): void => {
    for (const fd of take()) closeSync(fd)
  }
  // By descriptors, as the pid may be another's before the monitor has opened what it stands for.
  const open = (name: string): string => {
    opened.push(openSync(`/proc/${String(monitor.pid)}/ns/${name}`, 'r'))
    return givenDescriptor(opened.length - 1)
  }
  try {
    const users = record.options.userns === 'pod'
    const paths = new Map<SpecNamespaceType, string>([
      ...(users ? [['user', open('user')] as const] : []),
      ...pod.share.map((name) => [namespaceTypes[name], open(name)] as const),
    ])
    const shm = pod.share.includes('ipc') && spec.mounts?.some(isDefaultShm) === true
    const peer = shm ? open('mnt') : undefined
    // Its monitor has not reaped it, so that all of them were its own.
    await monitor.kill(0)
    const namespaces = (spec.linux?.namespaces ?? []).map((one) => {
      const path = paths.get(one.type)
      return path === undefined ? one : { ...one, path }
    })
    const mounts = (spec.mounts ?? []).map((mount) => (shm && isDefaultShm(mount) ? sharedMemory : mount))
    return {
      spec: { ...spec, mounts, linux: { ...spec.linux, namespaces } },
      sources: shm ? [shmSource] : [],
      owned: users ? ownedOf(context, pod) : [],
      ...(peer === undefined ? {} : { peer }),
      take,
      close,
    }
  } catch (cause) {
    close()
    if (cause instanceof PodlingError && cause.code !== 'INVALID_STATE') throw cause
    throw stopped(record.name, cause)
  }
}

/** What the holder has made in its user namespace, and not joined from elsewhere. */
function ownedOf(context: ContainerContext, { id, share }: PodPlace): SpecNamespaceType[] {
  const joined = isAnothers(findPod(context, id).options.network)
  return share.filter((name) => !(name === 'net' && joined)).map((name) => namespaceTypes[name])
}

function stopped(name: string, cause?: unknown): PodlingError {
  return new PodlingError('INVALID_STATE', `start container ${name}: its pod has just been stopped`, { cause })
}

const shmPath = '/dev/shm'

/** What the caller mounts there takes its place. */
function isDefaultShm({ destination, type, source }: SpecMount): boolean {
  return destination === shmPath && type === 'tmpfs' && source === 'shm'
}

/** The POSIX shared memory of the pod, which goes with its IPC namespace (shm_overview(7)). */
const sharedMemory: SpecMount = {
  destination: shmPath,
  type: 'bind',
  source: shmPath,
  options: ['bind', 'rprivate', 'nosuid', 'noexec', 'nodev'],
}

const shmSource: MountSource = {
  destination: shmPath,
  source: shmPath,
  taken: shmSlot,
  prepare: [{ op: 'take', slot: shmSlot, source: shmPath, recursive: false, ofPeer: true }],
}
