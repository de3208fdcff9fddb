import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Spec, SpecMount } from '../launch/oci-spec.js'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'
import { specVersion } from './version.js'

/** `spec`: a config.json to begin with, which runs a shell on a terminal. */
export function spec({ line }: Context): number {
  const text = JSON.stringify(line.has('rootless') ? rootless() : plain(), undefined, '\t')
  const path = join(line.value('bundle') ?? '.', 'config.json')
  try {
    writeFileSync(path, text, { mode: 0o666, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new OciError('File config.json exists. Remove it first')
  }
  return 0
}

const kept = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE']

function plain(): Spec {
  return {
    ociVersion: specVersion,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: kept, effective: kept, permitted: kept, ambient: kept },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'podling',
    mounts: [...mounts],
    linux: {
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      namespaces: (['pid', 'network', 'ipc', 'uts', 'mount'] as const).map((type) => ({ type })),
      maskedPaths: [
        '/proc/acpi',
        '/proc/asound',
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/sys/firmware',
        '/proc/scsi',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  }
}

/** What an ordinary user can have: one id, the host's network, no cgroups. */
function rootless(): Spec {
  const { linux, ...rest } = plain()
  const { resources: _, namespaces = [], ...others } = linux!
  const map = (hostID: number) => [{ containerID: 0, hostID, size: 1 }]
  return {
    ...rest,
    mounts: mounts.map((mount) => {
      if (mount.destination === '/sys') {
        const options = ['rbind', 'nosuid', 'noexec', 'nodev', 'ro']
        return { destination: '/sys', type: 'none', source: '/sys', options }
      }
      const options = (mount.options ?? []).filter((option) => !/^[ug]id=/.test(option))
      return options.length === 0 ? mount : { ...mount, options }
    }),
    linux: {
      uidMappings: map(process.geteuid?.() ?? 0),
      gidMappings: map(process.getegid?.() ?? 0),
      namespaces: [...namespaces.filter(({ type }) => type !== 'network'), { type: 'user' }],
      ...others,
    },
  }
}

const mounts: readonly SpecMount[] = [
  { destination: '/proc', type: 'proc', source: 'proc' },
  {
    destination: '/dev',
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
  },
  {
    destination: '/dev/pts',
    type: 'devpts',
    source: 'devpts',
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  {
    destination: '/sys/fs/cgroup',
    type: 'cgroup',
    source: 'cgroup',
    options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'],
  },
]
