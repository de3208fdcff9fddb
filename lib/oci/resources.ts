/** What a spec's `linux.resources` asks for: Go programs write 0 where they ask for nothing, and runc reads it so. Pure. */
import type { LinuxResources } from '../cgroup/resources.js'

/** Members whose 0 is a value of its own. */
const zeroCounts: ReadonlySet<string> = new Set(['swappiness', 'idle', 'burst'])

export function askedResources(resources: LinuxResources): LinuxResources {
  const { memory, cpu, pids, blockIO, network } = resources
  // 2^64-1 is how Go writes -1 of an unsigned number: the kernel's own.
  const { swappiness, ...rest } = memory ?? {}
  const kept = swappiness === undefined || swappiness > 100 ? rest : { ...rest, swappiness }
  return {
    ...resources,
    ...(memory === undefined ? {} : { memory: withoutZeros(kept) }),
    ...(cpu === undefined ? {} : { cpu: withoutZeros(cpu) }),
    ...(pids === undefined ? {} : { pids: withoutZeros(pids) }),
    ...(blockIO === undefined ? {} : { blockIO: withoutZeros(blockIO) }),
    ...(network === undefined ? {} : { network: withoutZeros(network) }),
  }
}

function withoutZeros<T extends object>(part: T): T {
  return Object.fromEntries(Object.entries(part).filter(([name, value]) => value !== 0 || zeroCounts.has(name))) as T
}
