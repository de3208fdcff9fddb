/** Our filters against those of libseccomp: the same verdict for every call, of every architecture, with every argument tried. */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { capabilityNames, defaultCapabilities } from '../../lib/security/capabilities.js'
import { defaultSeccomp, defaultSeccompProfile } from '../../lib/security/default-seccomp-profile.js'
import type { LinuxSeccomp, SeccompOperator } from '../../lib/security/linux-seccomp.js'
import { compileSeccomp } from '../../lib/security/seccomp-compile.js'
import { parseSeccompProfile, resolveSeccompProfile } from '../../lib/security/seccomp-profile.js'
import { syscallNumbers } from '../../lib/security/syscalls.js'
import { checkFilter, runFilter, type SystemCall } from './bpf-machine.js'
import { needs } from '../peers.js'
import { lazyExporter } from './libseccomp.js'

const X86_64 = 0xc000_003e
const I386 = 0x4000_0003
const AARCH64 = 0xc000_00b7
const ARM = 0x4000_0028
const podmanProfile = '/usr/share/containers/seccomp.json'

/** What a server does all day. */
const common =
  `read write close openat newfstatat fstat mmap munmap mprotect brk futex epoll_wait epoll_pwait poll ppoll
  sendto recvfrom sendmsg recvmsg accept4 connect rt_sigaction rt_sigprocmask clone clone3 execve wait4 exit_group ioctl
  fcntl lseek pread64 pwrite64 clock_gettime clock_nanosleep getpid gettid madvise getdents64 statx getrandom`.split(
    /\s+/,
  )

const libseccomp = lazyExporter()
t.teardown(() => {
  libseccomp.remove()
})

/** Values at the edges of what the rules compare with. */
const values = [
  ...[0n, 1n, 2n, 8n, 9n, 10n, 15n, 16n, 17n, 0x2_0000n, 0x2_0008n, 0x7e02_0000n, 0xffff_ffffn, 0x1_0000_0000n],
  ...[0x1_0000_0010n, 0x5_0000_0000n, 0x5_0000_0007n, 0x5_0000_0008n, 0x6_0000_0000n, 2n ** 63n, 2n ** 64n - 1n],
]

function* calls(): Generator<SystemCall> {
  for (const arch of [X86_64, I386, AARCH64, ARM, 0, 0xffff_ffff]) {
    for (const base of [0, 0x4000_0000]) {
      for (let number = base; number <= base + 600; number++) yield { number, arch }
    }
    for (let number = 0xf_0000; number < 0xf_0010; number++) yield { number, arch }
    for (const number of [0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]) yield { number, arch }
  }
}

/** All calls, and for those of `numbers` all pairs of argument values. */
function* callsWithArguments(numbers: readonly number[]): Generator<SystemCall> {
  yield* calls()
  for (const arch of [X86_64, I386, AARCH64, ARM]) {
    for (const number of numbers.flatMap((plain) => (arch === X86_64 ? [plain, plain + 0x4000_0000] : [plain]))) {
      for (const a of values) for (const b of values) yield { number, arch, args: [a, b, b, a, a, b] }
    }
  }
}

function compare(
  t: Test,
  seccomp: LinuxSeccomp,
  argued: readonly number[],
  machine: 'amd64' | 'arm64' = 'amd64',
): void {
  const ours = compileSeccomp(seccomp, machine).filter
  checkFilter(ours)
  const theirs = libseccomp.export(seccomp, machine)
  const differences: string[] = []
  let count = 0
  for (const call of callsWithArguments(argued)) {
    count++
    const [a, b] = [runFilter(ours, call).value, runFilter(theirs, call).value]
    if (a === b) continue
    const args = (call.args ?? []).map((arg) => arg.toString(16)).join(' ')
    differences.push(
      `${call.arch.toString(16)} ${String(call.number)} (${args}): ${a.toString(16)}, not ${b.toString(16)}`,
    )
  }
  t.ok(count > 6000)
  t.same(differences.slice(0, 10), [], 'no verdict differs')
}

// socket, personality, clone, socketcall, on x86-64 and i386
const argued = [41, 135, 56, 102, 359, 136]

t.test('Podman’s own profile, and ours in its place', needs('libseccomp', 'containers-common'), (t) => {
  const podman = parseSeccompProfile(JSON.parse(readFileSync(podmanProfile, 'utf8')))
  const choices: Record<string, readonly string[]> = {
    none: [],
    default: defaultCapabilities,
    all: capabilityNames,
    'CAP_AUDIT_WRITE alone': ['CAP_AUDIT_WRITE'],
    ...Object.fromEntries(
      capabilityNames
        .filter((name) => name !== 'CAP_AUDIT_WRITE')
        .map((name) => [`default and ${name}`, [...defaultCapabilities, name]]),
    ),
  }
  for (const [title, capabilities] of Object.entries(choices)) {
    t.test(`capabilities: ${title}`, (t) => {
      const theirs = resolveSeccompProfile(podman, { arch: 'amd64', capabilities })
      const ours = resolveSeccompProfile(defaultSeccompProfile, { arch: 'amd64', capabilities })
      const some = title in { none: 1, default: 1, all: 1 } ? argued : []
      compare(t, theirs, some)
      const [a, b] = [theirs, ours].map((seccomp) => libseccomp.export(seccomp, 'amd64'))
      const differs = [...callsWithArguments(some)].filter(
        (call) => runFilter(a!, call).value !== runFilter(b!, call).value,
      )
      t.same(differs.slice(0, 5), [], 'the default profile has the same effect as Podman’s')
      t.end()
    })
  }
  t.end()
})

t.test('arm64 and arm', needs('libseccomp', 'containers-common'), (t) => {
  const podman = parseSeccompProfile(JSON.parse(readFileSync(podmanProfile, 'utf8')))
  for (const capabilities of [[], defaultCapabilities, capabilityNames]) {
    // socket, personality, clone, on arm64 and arm
    const numbers = [198, 92, 220, 281, 136, 120]
    const [theirs, ours] = [podman, defaultSeccompProfile].map((profile) =>
      resolveSeccompProfile(profile, { arch: 'arm64', capabilities }),
    ) as [LinuxSeccomp, LinuxSeccomp]
    compare(t, theirs, numbers, 'arm64')
    compare(t, ours, numbers, 'arm64')
    const [a, b] = [theirs, ours].map((seccomp) => compileSeccomp(seccomp, 'arm64').filter) as [Uint8Array, Uint8Array]
    const differs = [...callsWithArguments(numbers)].filter(
      (call) => runFilter(a, call).value !== runFilter(b, call).value,
    )
    t.same(differs.slice(0, 5), [])
  }
  t.end()
})

t.test('what a container of ours may not call, and one of Podman’s may', needs('containers-common'), (t) => {
  const podman = parseSeccompProfile(JSON.parse(readFileSync(podmanProfile, 'utf8')))
  const abis = {
    amd64: [
      [X86_64, 'x86_64'],
      [X86_64, 'x32'],
      [I386, 'x86'],
    ],
    arm64: [
      [AARCH64, 'aarch64'],
      [ARM, 'arm'],
    ],
  } as const
  for (const arch of ['amd64', 'arm64'] as const) {
    for (const capabilities of [[], defaultCapabilities, capabilityNames]) {
      const theirs = compileSeccomp(resolveSeccompProfile(podman, { arch, capabilities }), arch).filter
      const ours = compileSeccomp(defaultSeccomp({ arch, capabilities }), arch).filter
      const differs = [...calls()].filter((call) => runFilter(theirs, call).value !== runFilter(ours, call).value)
      const keyctl = abis[arch].map(([abi, table]) => ({ number: syscallNumbers(table).get('keyctl')!, arch: abi }))
      t.strictSame(differs, keyctl, `keyctl(2) alone: ${arch}`)
      t.ok(
        keyctl.every((call) => runFilter(ours, call).value === (0x0005_0000 | 38)),
        'as on a kernel without keyrings',
      )
    }
  }
  t.end()
})

t.test('no more instructions than libseccomp’s own tree', needs('libseccomp'), (t) => {
  const seccomp = resolveSeccompProfile(defaultSeccompProfile, { arch: 'amd64', capabilities: defaultCapabilities })
  const ours = compileSeccomp(seccomp, 'amd64').filter
  const theirs = libseccomp.export(seccomp, 'amd64')
  const steps = (filter: Uint8Array): number =>
    common.reduce((sum, name) => {
      const number = syscallNumbers('x86_64').get(name) ?? -1
      return sum + runFilter(filter, { number, arch: X86_64 }).steps
    }, 0) / common.length
  t.comment(`instructions of a common call: ours ${steps(ours).toFixed(1)}, libseccomp's ${steps(theirs).toFixed(1)}`)
  t.comment(`length: ours ${String(ours.length / 8)}, libseccomp's ${String(theirs.length / 8)}`)
  t.ok(steps(ours) < steps(theirs))
  t.ok(ours.length < theirs.length)
  t.end()
})

t.test('arguments: every operator, at and around every edge', needs('libseccomp'), (t) => {
  const operators: SeccompOperator[] = [
    'SCMP_CMP_EQ',
    'SCMP_CMP_NE',
    'SCMP_CMP_LT',
    'SCMP_CMP_LE',
    'SCMP_CMP_GT',
    'SCMP_CMP_GE',
  ]
  for (const op of operators) {
    for (const value of [0n, 9n, 0x5_0000_0007n, 0xffff_ffffn, 2n ** 64n - 1n]) {
      const rule = { names: ['personality'], action: 'SCMP_ACT_ALLOW' as const, args: [{ index: 0, value, op }] }
      compare(t, { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38, syscalls: [rule] }, [135])
    }
  }
  for (const [value, valueTwo] of [
    [0x7e02_0000n, 0n],
    [0xfn, 0x9n],
    [0x5_0000_0000n, 0x5_0000_0000n],
    [2n ** 64n - 1n, 0x1_0000_0010n],
  ] as const) {
    const args = [{ index: 1, value, valueTwo, op: 'SCMP_CMP_MASKED_EQ' as const }]
    const rule = { names: ['clone'], action: 'SCMP_ACT_KILL_PROCESS' as const, args }
    compare(t, { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }, [56])
  }
  t.end()
})

t.test('several tests in a rule, several rules for a call', needs('libseccomp'), (t) => {
  const eq = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' as const })
  const both = { names: ['socket'], action: 'SCMP_ACT_TRAP' as const, args: [eq(0, 16), eq(1, 9)] }
  const either = { names: ['personality'], action: 'SCMP_ACT_LOG' as const, args: [eq(0, 8), eq(0, 16)] }
  const two = [1, 2].map((value) => ({
    names: ['clone'],
    action: 'SCMP_ACT_ERRNO' as const,
    errnoRet: value,
    args: [eq(3, value)],
  }))
  compare(t, { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [both, either, ...two] }, [41, 135, 56])
  t.end()
})

t.test('architectures: its own alone, with x32, with i386', needs('libseccomp'), (t) => {
  const rule = { names: ['read', 'write', 'openat', 'exit_group'], action: 'SCMP_ACT_ALLOW' as const }
  for (const architectures of [[], ['SCMP_ARCH_X32'], ['SCMP_ARCH_X86'], ['SCMP_ARCH_X86', 'SCMP_ARCH_X32']] as const) {
    compare(t, { defaultAction: 'SCMP_ACT_KILL_PROCESS', defaultErrnoRet: 38, architectures, syscalls: [rule] }, [])
  }
  t.end()
})
