/** Resources as the files of the cgroup2 tree (kernel docs: admin-guide/cgroup-v2.rst). Pure. */
import { cpuWeight, ioWeight, orMax, swapAlone } from './convert.js'
import { hugepageLimits, missing, rdmaLimits, type CgroupFacts, type Limit, type SectionLimits } from './limits.js'
import type { LinuxResources, ThrottleDevice } from './resources.js'

const V1_ONLY = 'cgroup v2 has no such setting'

function memory({ memory }: LinuxResources, facts: CgroupFacts): Limit[] {
  if (memory === undefined) return []
  const { limit, swap, reservation, swappiness, disableOOMKiller, kernelTCP } = memory
  if (swappiness !== undefined) throw missing('memory.swappiness', V1_ONLY, 'leave it out')
  if (kernelTCP !== undefined) throw missing('memory.kernelTCP', V1_ONLY, 'leave it out')
  if (disableOOMKiller === true) throw missing('memory.disableOOMKiller', V1_ONLY, 'leave it out')
  const limits: Limit[] = []
  if (limit !== undefined && limit !== 0) limits.push({ file: 'memory.max', value: orMax(limit) })
  const swapMax = swapAlone(limit, swap)
  if (swapMax !== undefined) {
    if (facts.files.has('memory.swap.max')) limits.push({ file: 'memory.swap.max', value: orMax(swapMax) })
    else if (swapMax >= 0) {
      throw missing('memory.swap', 'this kernel does not account swap', 'boot with swapaccount=1 or leave it out')
    }
  }
  if (reservation !== undefined) limits.push({ file: 'memory.low', value: orMax(reservation) })
  return limits
}

function cpu({ cpu }: LinuxResources): Limit[] {
  if (cpu === undefined) return []
  if (cpu.realtimeRuntime !== undefined || cpu.realtimePeriod !== undefined) {
    throw missing('cpu.realtimeRuntime', V1_ONLY, 'leave it out')
  }
  const limits: Limit[] = []
  // An idle cgroup refuses a weight, so an update that wakes it up has to come first.
  if (cpu.idle !== undefined) limits.push({ file: 'cpu.idle', value: String(cpu.idle) })
  if (cpu.shares !== undefined && cpu.shares !== 0) {
    limits.push({ file: 'cpu.weight', value: String(cpuWeight(cpu.shares)) })
  }
  if (cpu.quota !== undefined || (cpu.period !== undefined && cpu.period !== 0)) {
    // Without a period the file keeps the one it has, 100 ms in a new cgroup.
    const period = cpu.period !== undefined && cpu.period !== 0 ? ` ${String(cpu.period)}` : ''
    const quota = cpu.quota !== undefined && cpu.quota > 0 ? String(cpu.quota) : 'max'
    limits.push({ file: 'cpu.max', value: `${quota}${period}` })
  }
  if (cpu.burst !== undefined) limits.push({ file: 'cpu.max.burst', value: String(cpu.burst) })
  return limits
}

function cpuset({ cpu }: LinuxResources): Limit[] {
  return [
    ...((cpu?.cpus ?? '') === '' ? [] : [{ file: 'cpuset.cpus', value: cpu?.cpus ?? '' }]),
    ...((cpu?.mems ?? '') === '' ? [] : [{ file: 'cpuset.mems', value: cpu?.mems ?? '' }]),
  ]
}

function pids({ pids }: LinuxResources): Limit[] {
  if (pids?.limit === undefined) return []
  return [{ file: 'pids.max', value: pids.limit > 0 ? String(pids.limit) : 'max' }]
}

function io({ blockIO }: LinuxResources, facts: CgroupFacts): Limit[] {
  if (blockIO === undefined) return []
  const perDevice = blockIO.weightDevice ?? []
  if (blockIO.leafWeight !== undefined || perDevice.some(({ leafWeight }) => leafWeight !== undefined)) {
    throw missing('blockIO.leafWeight', V1_ONLY, 'leave it out')
  }
  const limits: Limit[] = []
  const bfq = facts.files.has('io.bfq.weight')
  const weightOf = (weight: number): string => String(bfq ? weight : ioWeight(weight))
  const weights = [
    ...(blockIO.weight === undefined ? [] : [`default ${weightOf(blockIO.weight)}`]),
    ...perDevice.flatMap(({ major, minor, weight }) =>
      weight === undefined ? [] : [`${String(major)}:${String(minor)} ${weightOf(weight)}`],
    ),
  ]
  if (weights.length > 0 && !bfq && !facts.files.has('io.weight')) {
    throw missing('blockIO.weight', 'no scheduler here knows weights', 'load the bfq scheduler or leave it out')
  }
  limits.push(...weights.map((value) => ({ file: bfq ? 'io.bfq.weight' : 'io.weight', value })))
  const throttle = (key: string, devices: readonly ThrottleDevice[] | undefined): void => {
    for (const { major, minor, rate } of devices ?? []) {
      const value = `${String(major)}:${String(minor)} ${key}=${rate > 0 ? String(rate) : 'max'}`
      limits.push({ file: 'io.max', value })
    }
  }
  throttle('rbps', blockIO.throttleReadBpsDevice)
  throttle('wbps', blockIO.throttleWriteBpsDevice)
  throttle('riops', blockIO.throttleReadIOPSDevice)
  throttle('wiops', blockIO.throttleWriteIOPSDevice)
  return limits
}

function hugetlb(resources: LinuxResources, facts: CgroupFacts): Limit[] {
  const limits = hugepageLimits(resources, facts, (size) => `hugetlb.${size}.max`)
  // Reservations (mmap without a touch) are counted apart, since Linux 5.7.
  return limits.flatMap((limit) => [
    limit,
    { file: limit.file.replace(/max$/, 'rsvd.max'), value: limit.value, optional: true },
  ])
}

function network(name: string): () => Limit[] {
  return () => {
    throw missing(name, V1_ONLY, 'use the firewall or a device program instead')
  }
}

export const v2Limits: SectionLimits = {
  memory,
  cpu,
  cpuset,
  pids,
  blkio: io,
  hugetlb,
  rdma: rdmaLimits,
  net_cls: network('network.classID'),
  net_prio: network('network.priorities'),
}
