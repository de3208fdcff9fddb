/** Limits in the words of podman-run(1). Where it has no flag for one, it writes to the cgroup what Podling writes. Pure. */
import { parseSize, type Size } from '../../schema/quantities.js'
import type { LimitOptions } from '../limits/options.js'
import type { Entry, Section } from './entry.js'

type Writers = {
  readonly [K in keyof Required<LimitOptions>]: (
    value: NonNullable<LimitOptions[K]>,
    section: Section,
  ) => Entry | Entry[]
}

const bytes = (size: Size): string => String(parseSize(size) ?? size)
const size = (flag: string) => (value: Size, section: Section) => section.flag(flag, bytes(value))
const text = (flag: string) => (value: number | string, section: Section) => section.flag(flag, String(value))
const texts = (flag: string) => (values: readonly string[], section: Section) =>
  values.map((value) => section.flag(flag, value))

export const limitEntries: Writers = {
  memory: size('memory'),
  memorySwap: size('memory-swap'),
  memoryReservation: size('memory-reservation'),
  memoryHigh: (value, section) => section.flag('cgroup-conf', `memory.high=${bytes(value)}`),
  memorySwappiness: text('memory-swappiness'),
  oomKillDisable: (is, section) => (is ? section.flag('oom-kill-disable') : []),
  cpus: text('cpus'),
  cpuQuota: text('cpu-quota'),
  cpuPeriod: text('cpu-period'),
  cpuShares: text('cpu-shares'),
  cpuWeight: (value, section) => section.flag('cgroup-conf', `cpu.weight=${String(value)}`),
  cpuset: text('cpuset-cpus'),
  cpusetMems: text('cpuset-mems'),
  pidsLimit: (value, section) => section.line('PidsLimit', 'pids-limit', String(value)),
  blkioWeight: text('blkio-weight'),
  blkioWeightDevice: texts('blkio-weight-device'),
  deviceReadBps: texts('device-read-bps'),
  deviceWriteBps: texts('device-write-bps'),
  deviceReadIops: texts('device-read-iops'),
  deviceWriteIops: texts('device-write-iops'),
  hugetlb: (limits, section) =>
    Object.entries(limits).map(([page, limit]) => section.flag('cgroup-conf', `hugetlb.${page}.max=${bytes(limit)}`)),
  cgroupConf: (files, section) =>
    Object.entries(files).map(([file, value]) => section.flag('cgroup-conf', `${file}=${value}`)),
}
