import t from 'tap'
import { release } from 'node:os'
import {
  checkHost,
  isAtLeast,
  isPrivileged,
  kernelFeatures,
  parseKernelRelease,
  userNamespaceObstacle,
  userNamespaceSuspect,
  type HostFacts,
} from '../../lib/sys/kernel.js'
import { probeHost } from '../../lib/sys/probe.js'
import { landlockAbi, missingSystemCalls } from '../../lib/sys/system-calls.js'
import { PodlingError } from '../../lib/errors.js'

const root: HostFacts = {
  platform: 'linux',
  release: '6.1.0-18-amd64',
  euid: 0,
  status: 'Name:\tnode\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n',
  filesystems: 'nodev\tproc\nnodev\toverlay\n\text4\n',
  modules: 'kernel/fs/erofs/erofs.ko.xz: kernel/lib/x.ko.xz\nkernel/fs/fuse/fuse.ko\n',
  seccompActions: 'kill_process trap errno user_notif allow\n',
  securityModules: 'lockdown,capability,apparmor\n',
  namespaces: ['mnt', 'pid', 'user', 'time'],
  sysctls: { 'user.max_user_namespaces': '1000' },
  missingCalls: [],
  landlock: 2,
  fuse: true,
}
const user: HostFacts = { ...root, euid: 1000, status: 'CapEff:\t0000000000000000\nSeccomp:\t0\n' }

function refusal(facts: HostFacts): PodlingError {
  try {
    checkHost(facts)
  } catch (error) {
    if (error instanceof PodlingError) return error
    throw error
  }
  throw new Error('was not refused')
}

t.test('release strings of distributions', async (t) => {
  for (const [text, version] of [
    ['6.1.0-18-amd64', { major: 6, minor: 1, patch: 0 }],
    ['5.15.167.4-microsoft-standard-WSL2', { major: 5, minor: 15, patch: 167 }],
    ['5.14.0-427.el9.x86_64', { major: 5, minor: 14, patch: 0 }],
    ['6.18-rc1', { major: 6, minor: 18, patch: 0 }],
    ['nonsense', undefined],
    ['', undefined],
  ] as const) {
    t.strictSame(parseKernelRelease(text), version, text)
  }
  t.ok(isAtLeast({ major: 6, minor: 0, patch: 0 }, 5, 15))
  t.ok(isAtLeast({ major: 5, minor: 15, patch: 0 }, 5, 15))
  t.notOk(isAtLeast({ major: 5, minor: 9, patch: 0 }, 5, 15))
})

t.test('a machine that will do', async (t) => {
  t.doesNotThrow(() => {
    checkHost(root)
  })
  t.doesNotThrow(() => {
    checkHost(user)
  }, 'a user who can make user namespaces')
  t.doesNotThrow(() => {
    checkHost({ ...root, release: '5.15.0' })
  })
})

t.test('a kernel too old, and which it is', async (t) => {
  t.match(refusal({ ...root, release: '5.10.0-28-amd64' }), {
    code: 'KERNEL_UNSUPPORTED',
    message: /5\.15 or newer, and this machine runs 5\.10\.0-28-amd64/,
  })
  t.equal(refusal({ ...root, release: '5.14.0-427.el9.x86_64' }).code, 'KERNEL_UNSUPPORTED')
  t.equal(refusal({ ...root, release: '4.19.0' }).code, 'KERNEL_UNSUPPORTED')
  t.equal(refusal({ ...root, release: 'nonsense' }).code, 'KERNEL_UNSUPPORTED')
})

t.test('system calls that an outer container keeps away', async (t) => {
  t.match(refusal({ ...root, missingCalls: ['clone3', 'fsopen'] }), {
    code: 'KERNEL_UNSUPPORTED',
    message: /clone3, fsopen.*seccomp profile/,
  })
})

t.test('not Linux', async (t) => {
  t.match(refusal({ ...root, platform: 'darwin', release: '23.4.0' }), {
    code: 'PLATFORM_UNSUPPORTED',
    message: /darwin/,
  })
})

t.test('not root and no user namespaces: each reason has its remedy', async (t) => {
  for (const [facts, remedy] of [
    [{ ...user, namespaces: ['mnt', 'pid'] }, /CONFIG_USER_NS/],
    [{ ...user, sysctls: { 'user.max_user_namespaces': '0' } }, /sysctl -w user\.max_user_namespaces=\d+/],
    [
      { ...user, sysctls: { 'kernel.unprivileged_userns_clone': '0' } },
      /sysctl -w kernel\.unprivileged_userns_clone=1/,
    ],
    [
      { ...user, sysctls: { 'kernel.apparmor_restrict_unprivileged_userns': '1' } },
      /sysctl -w kernel\.apparmor_restrict_unprivileged_userns=0/,
    ],
  ] as const) {
    const error = refusal(facts)
    t.match(error, { code: 'PERMISSION_DENIED', message: remedy })
    t.match(error.message, /user 1000 is not root.*or run as root/)
  }
})

t.test('root without capabilities is no root', async (t) => {
  const bare = { ...root, status: user.status! }
  t.notOk(isPrivileged(bare))
  t.match(refusal({ ...bare, sysctls: { 'kernel.unprivileged_userns_clone': '0' } }), {
    code: 'PERMISSION_DENIED',
    message: /root here lacks CAP_SYS_ADMIN/,
  })
  t.ok(isPrivileged({ euid: 0 }), 'without /proc the id has to do')
})

t.test('restrictions of the unprivileged do not bind root', async (t) => {
  const sysctls = { 'kernel.unprivileged_userns_clone': '0', 'kernel.apparmor_restrict_unprivileged_userns': '1' }
  t.equal(userNamespaceObstacle({ ...root, sysctls }), undefined)
})

t.test('what a profile of AppArmor grants is tried, as it can’t be known', async (t) => {
  const restricted = { ...user, sysctls: { 'kernel.apparmor_restrict_unprivileged_userns': '1' } }
  for (const apparmorProfile of ['node (enforce)', 'node (unconfined)']) {
    t.equal(userNamespaceObstacle({ ...restricted, apparmorProfile }), undefined, apparmorProfile)
    t.match(userNamespaceSuspect({ apparmorProfile }), /the AppArmor profile node, .*"userns,"/)
  }
  t.match(
    userNamespaceObstacle({ ...restricted, apparmorProfile: 'unconfined' }),
    /apparmor_restrict_unprivileged_userns=0/,
  )
  for (const none of [{}, { apparmorProfile: 'unconfined' }]) t.equal(userNamespaceSuspect(none), undefined)
})

t.test('features', async (t) => {
  t.strictSame(kernelFeatures(root), {
    overlay: true,
    erofs: true,
    fuse: true,
    seccomp: true,
    seccompNotify: true,
    userNamespaces: true,
    timeNamespaces: true,
    landlock: 2,
    openat2: true,
    cloneIntoCgroup: true,
    idmappedOverlay: true,
    securityModules: ['lockdown', 'capability', 'apparmor'],
  })
  t.match(kernelFeatures({ ...root, release: '5.15.0', filesystems: '', modules: '', fuse: false, landlock: 0 }), {
    overlay: false,
    erofs: false,
    fuse: false,
    landlock: 0,
    idmappedOverlay: false,
  })
})

t.test('this machine', async (t) => {
  const facts = await probeHost()
  t.equal(facts.release, release())
  t.equal(facts.platform, process.platform)
  t.ok(facts.namespaces.includes('mnt'))
  t.doesNotThrow(() => {
    checkHost(facts)
  })
  t.strictSame(missingSystemCalls(), [])
  t.ok(Number.isInteger(landlockAbi()))
  t.ok(kernelFeatures(facts).overlay)
})
