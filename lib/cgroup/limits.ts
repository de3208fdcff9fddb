/** What the two kinds of tree share when resources become file writes. Pure. */
import { PodlingError } from '../errors.js'
import type { LinuxResources } from './resources.js'

/** One value for one file of a container's cgroup directory. */
export interface Limit {
  readonly file: string
  readonly value: string
  /** A failed write is passed over: the value only restates what holds without it. */
  readonly optional?: boolean
}

/** What was seen of the machine when the cgroups were opened. */
export interface CgroupFacts {
  /** Names of the files in the parent directories. They tell which features this kernel was built and booted with. */
  readonly files: ReadonlySet<string>
  /** Sizes of huge pages, `2MB`, `1GB`. */
  readonly hugepageSizes: readonly string[]
  /** v1: what the parent's cpuset holds. A cpuset with nothing in either file takes no process. */
  readonly cpuset?: { readonly cpus: string; readonly mems: string }
}

/** The groups of limits, named by the controller that carries them out. v2 calls `blkio` `io`. */
export type Section = 'memory' | 'cpu' | 'cpuset' | 'pids' | 'blkio' | 'hugetlb' | 'rdma' | 'net_cls' | 'net_prio'

export type SectionLimits = Readonly<Record<Section, (resources: LinuxResources, facts: CgroupFacts) => Limit[]>>

/** The sections that these resources ask something of, by the names of their controllers. */
export function askedSections(resources: LinuxResources): Section[] {
  const { memory, cpu, pids, blockIO, hugepageLimits, rdma, network } = resources
  const has = (value: object | undefined): boolean =>
    value !== undefined && Object.values(value).some((field) => field !== undefined)
  const asked: Section[] = []
  if (has(memory)) asked.push('memory')
  if (has({ ...cpu, cpus: undefined, mems: undefined })) asked.push('cpu')
  if ((cpu?.cpus ?? '') !== '' || (cpu?.mems ?? '') !== '') asked.push('cpuset')
  if (pids?.limit !== undefined) asked.push('pids')
  if (has(blockIO)) asked.push('blkio')
  if (hugepageLimits !== undefined && hugepageLimits.length > 0) asked.push('hugetlb')
  if (has(rdma)) asked.push('rdma')
  if (network?.classID !== undefined) asked.push('net_cls')
  if (network?.priorities !== undefined && network.priorities.length > 0) asked.push('net_prio')
  return asked
}

/** The error for a limit that this machine can't carry out. */
export function missing(limit: string, why: string, remedy: string): PodlingError {
  return new PodlingError('CGROUP_CONTROLLER_MISSING', `${limit} can't be set: ${why}; ${remedy}`)
}

/** Huge page limits as (file, value) pairs, checked against the sizes that this machine has. */
export function hugepageLimits(resources: LinuxResources, facts: CgroupFacts, file: (size: string) => string): Limit[] {
  return (resources.hugepageLimits ?? []).map(({ pageSize, limit }) => {
    if (!facts.hugepageSizes.includes(pageSize)) {
      const sizes = facts.hugepageSizes.join(', ') || 'none'
      throw new PodlingError(
        'INVALID_OPTION',
        `hugepageLimits: this machine has no huge pages of size "${pageSize}" (it has: ${sizes})`,
      )
    }
    return { file: file(pageSize), value: String(limit) }
  })
}

/** RDMA limits, which are written alike in both kinds of tree. */
export function rdmaLimits(resources: LinuxResources): Limit[] {
  return Object.entries(resources.rdma ?? {}).map(([device, { hcaHandles, hcaObjects }]) => {
    const handles = hcaHandles === undefined ? '' : ` hca_handle=${String(hcaHandles)}`
    const objects = hcaObjects === undefined ? '' : ` hca_object=${String(hcaObjects)}`
    return { file: 'rdma.max', value: `${device}${handles}${objects}` }
  })
}
