/** A bundle for the OCI runtimes among the peers: what crun and runc read (OCI runtime spec 1.2, config.md). */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Workspace } from './workspace.js'

const MOUNTS = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
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
    options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
  },
  {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'],
  },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
]

/**
 * Write a bundle that runs `args` in the benchmark's root file system. It asks for less than Podling is measured with: no
 * limits, no seccomp filter, no overlay, no log.
 */
export async function makeBundle(
  workspace: Workspace,
  name: string,
  network: 'own' | 'host',
  args: readonly string[],
): Promise<string> {
  const bundle = join(workspace.directory, name)
  const namespaces = ['pid', 'ipc', 'uts', 'mount', 'cgroup', ...(network === 'own' ? ['network'] : [])]
  await mkdir(bundle, { recursive: true })
  await writeFile(
    join(bundle, 'config.json'),
    JSON.stringify({
      ociVersion: '1.0.2',
      process: { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, noNewPrivileges: true, terminal: false },
      root: { path: workspace.rootfs, readonly: true },
      hostname: 'bench',
      mounts: MOUNTS,
      linux: {
        namespaces: namespaces.map((type) => ({ type })),
        cgroupsPath: `/${workspace.cgroup}/${name}`,
        maskedPaths: ['/proc/kcore', '/proc/keys'],
        readonlyPaths: ['/proc/sys'],
      },
    }),
  )
  return bundle
}
