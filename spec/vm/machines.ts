/** The machines that `npm run test:vm` boots, and what each of them is there to show. */

export interface Machine {
  /** For the kernel's command line. */
  readonly kernel: readonly string[]
  /** What is run when nothing is named: what longest takes first. */
  readonly specs: readonly string[]
}

export const machines = {
  /** One cgroup tree with all controllers, quotas on ext4 and XFS, device mapper, NFS, and all of root's capabilities. */
  v2: {
    kernel: ['security=apparmor', 'psi=1', 'hugepages=8'],
    specs: [
      'spec/storage/quotas-ext4.spec.ts',
      'spec/storage/quotas-xfs.spec.ts',
      'spec/storage/volumes/luks.spec.ts',
      'spec/storage/volumes/nfs.spec.ts',
      'spec/journeys/13-limits.spec.ts',
      'spec/journeys/18-rootless-cgroups.spec.ts',
      'spec/journeys/18-rootless-bans.spec.ts',
      'spec/security/apparmor-kernel.spec.ts',
      'spec/cgroup/kernel.spec.ts',
    ],
  },
  /** SELinux enforces Debian's default policy. */
  selinux: {
    kernel: ['security=selinux', 'enforcing=1', 'psi=1'],
    specs: ['spec/journeys/01-run.spec.ts', 'spec/security/selinux-kernel.spec.ts', 'spec/cgroup/kernel.spec.ts'],
  },
} as const satisfies Record<string, Machine>

export type MachineName = keyof typeof machines
