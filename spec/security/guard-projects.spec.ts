import t from 'tap'
import { defaultSeccomp } from '../../lib/security/default-seccomp-profile.js'
import { guardingProjects } from '../../lib/security/guard-projects.js'
import type { LinuxSeccomp } from '../../lib/security/linux-seccomp.js'
import { compileSeccomp } from '../../lib/security/seccomp-compile.js'
import { syscallNumbers } from '../../lib/security/syscalls.js'
import { runFilter } from './bpf-machine.js'

const ABIS = { x86_64: 0xc000_003e, x86: 0x4000_0003 } as const
const EPERM = 0x0005_0001
const EOPNOTSUPP = 0x0005_005f
const ALLOW = 0x7fff_0000
const SETXATTR = 0x401c_5820n
const TCGETS = 0x5401n

function verdict(seccomp: LinuxSeccomp, name: string, args: bigint[] = [], abi: keyof typeof ABIS = 'x86_64'): number {
  const { filter } = compileSeccomp(seccomp, 'amd64')
  return runFilter(filter, { number: syscallNumbers(abi).get(name)!, arch: ABIS[abi], args }).value
}

t.test('ids of quota projects stay what they are', (t) => {
  const named = { names: ['read', 'ioctl', 'file_setattr'], action: 'SCMP_ACT_ALLOW' } as const
  const profiles: Readonly<Record<string, [LinuxSeccomp, number?]>> = {
    default: [defaultSeccomp({ arch: 'amd64', capabilities: [] })],
    strict: [{ defaultAction: 'SCMP_ACT_ERRNO', architectures: ['SCMP_ARCH_X86'], syscalls: [named] }],
    'strict with the same errno': [
      { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 95, architectures: ['SCMP_ARCH_X86'], syscalls: [named] },
      EPERM,
    ],
    lenient: [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86'] }],
  }
  for (const [name, [profile, refused = EOPNOTSUPP]] of Object.entries(profiles)) {
    const guarded = guardingProjects(profile)
    for (const abi of ['x86_64', 'x86'] as const) {
      t.equal(verdict(profile, 'ioctl', [3n, SETXATTR], abi), ALLOW, name)
      t.equal(verdict(guarded, 'ioctl', [3n, SETXATTR], abi), refused, name)
      t.equal(verdict(guarded, 'ioctl', [3n, SETXATTR | (0xbadn << 32n)], abi), refused, 'the kernel looks at 32 bits')
      t.equal(verdict(guarded, 'ioctl', [3n, TCGETS], abi), ALLOW)
      t.equal(verdict(guarded, 'ioctl', [0n, 0n], abi), ALLOW)
      t.equal(verdict(guarded, 'read', [], abi), ALLOW)
      t.not(verdict(guarded, 'file_setattr', [], abi), ALLOW)
    }
  }
  t.end()
})
