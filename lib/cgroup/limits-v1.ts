/** Resources as the files of v1 controllers (kernel docs: admin-guide/cgroup-v1/). Pure. */
import { checkSwap } from './convert.js'
import { hugepageLimits, missing, rdmaLimits, type CgroupFacts, type Limit, type SectionLimits } from './limits.js'
import type { LinuxResources, ThrottleDevice } from './resources.js'

function memory({ memory }: LinuxResources, facts: CgroupFacts): Limit[] {
  if (memory === undefined) return []
  const { limit, swap, reservation, kernelTCP, swappiness, disableOOMKiller } = memory
  checkSwap(limit, swap)
  const limits: Limit[] = []
  if (limit !== undefined && limit !== 0) limits.push({ file: 'memory.limit_in_bytes', value: String(limit) })
  if (swap !== undefined && swap !== 0) {
    const file = 'memory.memsw.limit_in_bytes'
    if (facts.files.has(file)) limits.push({ file, value: String(swap) })
    else if (swap > 0) {
      throw missing('memory.swap', 'this kernel does not account swap', 'boot with swapaccount=1 or leave it out')
    }
  }
  if (reservation !== undefined) limits.push({ file: 'memory.soft_limit_in_bytes', value: String(reservation) })
  if (kernelTCP !== undefined) limits.push({ file: 'memory.kmem.tcp.limit_in_bytes', value: String(kernelTCP) })
  if (swappiness !== undefined) limits.push({ file: 'memory.swappiness', value: String(swappiness) })
  if (disableOOMKiller === true) limits.push({ file: 'memory.oom_control', value: '1' })
  return limits
}

function cpu({ cpu }: LinuxResources, facts: CgroupFacts): Limit[] {
  if (cpu === undefined) return []
  const limits: Limit[] = []
  if (cpu.shares !== undefined && cpu.shares !== 0) limits.push({ file: 'cpu.shares', value: String(cpu.shares) })
  // The period first: a quota is checked against the period in force, and the usual one would refuse a small quota.
  if (cpu.period !== undefined && cpu.period !== 0) {
    limits.push({ file: 'cpu.cfs_period_us', value: String(cpu.period) })
  }
  if (cpu.quota !== undefined) {
    limits.push({ file: 'cpu.cfs_quota_us', value: String(cpu.quota > 0 ? cpu.quota : -1) })
  }
  if (cpu.burst !== undefined) limits.push({ file: 'cpu.cfs_burst_us', value: String(cpu.burst) })
  if (cpu.idle !== undefined) limits.push({ file: 'cpu.idle', value: String(cpu.idle) })
  const realtime = cpu.realtimeRuntime !== undefined || cpu.realtimePeriod !== undefined
  if (realtime && !facts.files.has('cpu.rt_runtime_us')) {
    throw missing('cpu.realtimeRuntime', 'this kernel has no CONFIG_RT_GROUP_SCHED', 'leave it out')
  }
  if (cpu.realtimePeriod !== undefined) {
    limits.push({ file: 'cpu.rt_period_us', value: String(cpu.realtimePeriod) })
  }
  if (cpu.realtimeRuntime !== undefined) {
    limits.push({ file: 'cpu.rt_runtime_us', value: String(cpu.realtimeRuntime) })
  }
  return limits
}

function cpuset({ cpu }: LinuxResources, facts: CgroupFacts): Limit[] {
  // Both files of a new v1 cpuset are empty, and an empty one takes no process: what isn't asked is the parent's.
  const cpus = (cpu?.cpus ?? '') === '' ? facts.cpuset?.cpus : cpu?.cpus
  const mems = (cpu?.mems ?? '') === '' ? facts.cpuset?.mems : cpu?.mems
  return [
    ...(cpus === undefined ? [] : [{ file: 'cpuset.cpus', value: cpus }]),
    ...(mems === undefined ? [] : [{ file: 'cpuset.mems', value: mems }]),
  ]
}

function pids({ pids }: LinuxResources): Limit[] {
  if (pids?.limit === undefined) return []
  return [{ file: 'pids.max', value: pids.limit > 0 ? String(pids.limit) : 'max' }]
}

function blkio({ blockIO }: LinuxResources, facts: CgroupFacts): Limit[] {
  if (blockIO === undefined) return []
  const limits: Limit[] = []
  const weightFile = ['blkio.bfq.weight', 'blkio.weight'].find((name) => facts.files.has(name))
  const perDevice = blockIO.weightDevice ?? []
  if (blockIO.weight !== undefined || perDevice.some(({ weight }) => weight !== undefined)) {
    if (weightFile === undefined) {
      throw missing('blockIO.weight', 'no scheduler here knows weights', 'load the bfq scheduler or leave it out')
    }
    if (blockIO.weight !== undefined) limits.push({ file: weightFile, value: String(blockIO.weight) })
    for (const { major, minor, weight } of perDevice) {
      const value = `${String(major)}:${String(minor)} ${String(weight)}`
      if (weight !== undefined) limits.push({ file: `${weightFile}_device`, value })
    }
  }
  if (blockIO.leafWeight !== undefined || perDevice.some(({ leafWeight }) => leafWeight !== undefined)) {
    throw missing('blockIO.leafWeight', 'Linux 5.0 removed it together with the CFQ scheduler', 'leave it out')
  }
  const throttle = (file: string, devices: readonly ThrottleDevice[] | undefined): void => {
    for (const { major, minor, rate } of devices ?? []) {
      limits.push({ file: `blkio.throttle.${file}_device`, value: `${String(major)}:${String(minor)} ${String(rate)}` })
    }
  }
  throttle('read_bps', blockIO.throttleReadBpsDevice)
  throttle('write_bps', blockIO.throttleWriteBpsDevice)
  throttle('read_iops', blockIO.throttleReadIOPSDevice)
  throttle('write_iops', blockIO.throttleWriteIOPSDevice)
  return limits
}

export const v1Limits: SectionLimits = {
  memory,
  cpu,
  cpuset,
  pids,
  blkio,
  hugetlb: (resources, facts) => hugepageLimits(resources, facts, (size) => `hugetlb.${size}.limit_in_bytes`),
  rdma: rdmaLimits,
  net_cls: ({ network }) =>
    network?.classID === undefined ? [] : [{ file: 'net_cls.classid', value: String(network.classID) }],
  net_prio: ({ network }) =>
    (network?.priorities ?? []).map(({ name, priority }) => ({
      file: 'net_prio.ifpriomap',
      value: `${name} ${String(priority)}`,
    })),
}
