/** Whether this host can have bridges and a firewall table of ours, and what to do where it can't. */
import { PodlingError } from '../errors.js'
import type { HostNetwork } from './host-network.js'
import { getGeneration } from './netlink/nftables.js'

const remedies = {
  KERNEL_UNSUPPORTED:
    "use network: 'none', 'host' or 'pasta' (Debian's package is passt), which need neither bridges nor rules",
  // Not even a container's own loopback can be switched on then.
  PERMISSION_DENIED: "give it CAP_NET_ADMIN, or use network: 'host'",
} as const

/** What the kernel says to a kind of link or a subsystem of netfilter that it is built without. */
const lacking: readonly (string | undefined)[] = ['EOPNOTSUPP', 'EPROTONOSUPPORT', 'EINVAL']
const forbidden: readonly (string | undefined)[] = ['EPERM', 'EACCES', 'EROFS']

/** Why there can be no firewall table of ours: no nf_tables in the kernel, or no right to it. @returns undefined: there can */
export function firewallObstacle(host: HostNetwork): PodlingError | undefined {
  try {
    host.netfilter.request(getGeneration(), 'look for nf_tables')
    return undefined
  } catch (error) {
    if (!(error instanceof PodlingError)) throw error
    if (lacking.includes(error.errno)) return unusable('KERNEL_UNSUPPORTED', 'this kernel has no nf_tables', error)
    if (forbidden.includes(error.errno)) return withRemedy(error) as PodlingError
    throw error
  }
}

/** A refusal of the kernel's to make a bridge or what belongs to it, with what helps; other errors as they are. */
export function withRemedy(error: unknown): unknown {
  if (!(error instanceof PodlingError)) return error
  const { errno, message } = error
  if (errno === 'EOPNOTSUPP') return unusable('KERNEL_UNSUPPORTED', `${message}, so this kernel is without it`, error)
  if (!forbidden.includes(errno)) return error
  return unusable('PERMISSION_DENIED', `${message}, as this process has no rights over the host's network`, error)
}

function unusable(
  code: keyof typeof remedies,
  why: string,
  { errno, syscall, path, cause }: PodlingError,
): PodlingError {
  return new PodlingError(code, `use bridge networks: ${why}; ${remedies[code]}`, {
    ...(errno === undefined ? {} : { errno }),
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
    ...(cause === undefined ? {} : { cause }),
  })
}
