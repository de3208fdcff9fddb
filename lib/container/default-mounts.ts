/** What every container finds mounted, masked and read-only: Podman's lists. Pure. */
import type { SpecMount } from '../launch/oci-spec.js'
import type { NormalizedOptions } from './normalized-options.js'

/** Host paths of the three files that a runtime gives every container. An absent one is not bound. */
export interface EtcFiles {
  readonly resolvConf?: string | undefined
  readonly hosts?: string | undefined
  readonly hostname?: string | undefined
}

/** Kernel file systems first, then the three files, as they must be mounted. */
export function defaultMounts(options: NormalizedOptions, files: EtcFiles): SpecMount[] {
  const access = options.privileged ? 'rw' : 'ro'
  const kernel: SpecMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    // A sysfs of the container's own network namespace, or, on the host's network, of the host's: the kernel shows in
    // /sys/class/net what belongs to the namespace of whoever mounts it.
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    sharedMemory(options),
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['rprivate', 'nosuid', 'noexec', 'nodev', 'relatime', access],
    },
  ]
  return [...kernel, ...readOnlyTmpfs(options), ...etcBinds(files, options.readOnly)]
}

function sharedMemory({ ipc, shmSize }: NormalizedOptions): SpecMount {
  if (ipc === 'host') {
    return {
      destination: '/dev/shm',
      type: 'bind',
      source: '/dev/shm',
      options: ['bind', 'rprivate', 'nosuid', 'noexec', 'nodev'],
    }
  }
  return {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: [
      'nosuid',
      'noexec',
      'nodev',
      'mode=1777',
      shmSize === undefined ? 'size=65536k' : `size=${String(shmSize)}`,
    ],
  }
}

/** With a read-only root, programs still find these writable (podman-run(1), `--read-only-tmpfs`). */
function readOnlyTmpfs({ readOnly }: NormalizedOptions): SpecMount[] {
  if (!readOnly) return []
  return ['/run', '/tmp', '/var/tmp'].map((destination) => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['rw', 'rprivate', 'nosuid', 'nodev', 'tmpcopyup'],
  }))
}

function etcBinds({ resolvConf, hosts, hostname }: EtcFiles, readOnly: boolean): SpecMount[] {
  const bind = (destination: string, source: string | undefined): SpecMount[] =>
    source === undefined
      ? []
      : [{ destination, type: 'bind', source, options: ['bind', 'rprivate', ...(readOnly ? ['ro'] : [])] }]
  return [...bind('/etc/resolv.conf', resolvConf), ...bind('/etc/hosts', hosts), ...bind('/etc/hostname', hostname)]
}

/** Files of the kernel that tell of the host or change it; hidden. */
export const defaultMaskedPaths: readonly string[] = [
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/selinux',
]

export const defaultReadonlyPaths: readonly string[] = [
  '/proc/asound',
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
]
