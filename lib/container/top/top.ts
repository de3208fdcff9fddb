import { readFileSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { nearestName } from '../../schema/nearest-name.js'
import { show } from '../../schema/faults.js'
import { KernelFiles } from '../../sys/kernel-files.js'
import { ProcessDirectory } from '../../sys/process-directory.js'
import type { Lifecycle } from '../lifecycle.js'
import { requireStatus } from '../status.js'
import { containerNames, hostNames, mappedNames } from './account-names.js'
import { ownProcesses, type OwnProcesses } from './own-processes.js'
import {
  innerPid,
  processInfo,
  type Names,
  type ProcessDescriptor,
  type ProcessFiles,
  type ProcessInfo,
} from './process-info.js'

/** What is told when nothing is asked for, as by `podman top`. */
export const defaultDescriptors = ['user', 'pid', 'ppid', 'pcpu', 'etime', 'tty', 'time', 'args'] as const
export type DefaultDescriptor = (typeof defaultDescriptors)[number]

const known = {
  pid: true,
  ppid: true,
  pgid: true,
  hpid: true,
  user: true,
  group: true,
  ruser: true,
  rgroup: true,
  huser: true,
  hgroup: true,
  pcpu: true,
  etime: true,
  stime: true,
  time: true,
  tty: true,
  args: true,
  comm: true,
  state: true,
  nice: true,
  vsz: true,
  rss: true,
  capeff: true,
  capprm: true,
  capinh: true,
  capbnd: true,
  capamb: true,
  seccomp: true,
  label: true,
} as const satisfies Record<ProcessDescriptor, true>

/** The processes of a container, read by the host: nothing runs in it for that. */
export async function top<D extends ProcessDescriptor>(
  container: Lifecycle,
  descriptors: readonly D[],
): Promise<Pick<ProcessInfo, D>[]> {
  check(descriptors)
  const { context, record } = container
  requireStatus('top', container.status, record.name)
  const monitor = container.requireMonitor('look at the processes of')
  const own = await ownProcesses(container, monitor.pid)
  const processes = readProcesses(own)
  const files = new KernelFiles()
  const pidOne = ProcessDirectory.open(monitor.pid, own.belongs, files)
  const host = hostNames()
  const trusted = context.driver.name === 'fuse-overlayfs'
  const names: Names = pidOne === undefined ? host : mappedNames(containerNames(pidOne, trusted), pidOne)
  pidOne?.close()
  const surroundings = {
    container: names,
    host,
    pids: new Map(processes.map(({ hpid, files: { status } }) => [hpid, innerPid(status)])),
    uptime: Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000,
    now: Date.now(),
  }
  return processes
    .map(({ hpid, files }) => processInfo(hpid, files, surroundings))
    .sort((a, b) => a.pid - b.pid)
    .map((info) => Object.fromEntries(descriptors.map((name) => [name, info[name]])) as Pick<ProcessInfo, D>)
}

function check(descriptors: readonly string[]): void {
  const wrong = descriptors.filter((name) => !Object.hasOwn(known, name))
  if (wrong.length === 0) return
  const words = wrong.map((name) => {
    const near = nearestName(name, Object.keys(known))
    return `${show(name)}${near === undefined ? '' : ` (did you mean ${near}?)`}`
  })
  throw new PodlingError('INVALID_OPTION', `top: no such descriptor: ${words.join(', ')}; see ProcessInfo for all`)
}

/** Those that are still there, and the container's. */
function readProcesses({ pids, belongs }: OwnProcesses): { hpid: number; files: ProcessFiles }[] {
  const files = new KernelFiles()
  return pids.flatMap((hpid) => {
    const process = ProcessDirectory.open(hpid, belongs, files)
    if (process === undefined) return []
    try {
      const [stat, status, cmdline] = [process.read('stat'), process.read('status'), process.read('cmdline')]
      if (stat === undefined || status === undefined) return []
      // Where no security module is, there is nothing to read.
      return [{ hpid, files: { stat, status, cmdline: cmdline ?? '', label: process.read('attr/current') ?? '' } }]
    } finally {
      process.close()
    }
  })
}
