import t from 'tap'
import { assemble, type Step } from '../../lib/security/bpf.js'
import { defaultSeccomp } from '../../lib/security/default-seccomp-profile.js'
import type { LinuxSeccomp } from '../../lib/security/linux-seccomp.js'
import { compileSeccomp } from '../../lib/security/seccomp-compile.js'
import { syscallNumbers } from '../../lib/security/syscalls.js'
import { checkFilter, runFilter } from './bpf-machine.js'

const X86_64 = 0xc000_003e
const I386 = 0x4000_0003
const ERRNO = 0x0005_0000
const ALLOW = 0x7fff_0000
const numbers = syscallNumbers('x86_64')

function verdict(seccomp: LinuxSeccomp, name: string | number, args: bigint[] = [], arch = X86_64): number {
  const { filter } = compileSeccomp(seccomp, 'amd64')
  checkFilter(filter)
  const number = typeof name === 'number' ? name : (syscallNumbers(arch === I386 ? 'x86' : 'x86_64').get(name) ?? -1)
  return runFilter(filter, { number, arch, args }).value
}

t.test('every action', (t) => {
  const outcomes = {
    SCMP_ACT_KILL: 0,
    SCMP_ACT_KILL_THREAD: 0,
    SCMP_ACT_KILL_PROCESS: 0x8000_0000,
    SCMP_ACT_TRAP: 0x0003_0000,
    SCMP_ACT_ERRNO: ERRNO | 5,
    SCMP_ACT_TRACE: 0x7ff0_0005,
    SCMP_ACT_LOG: 0x7ffc_0000,
    SCMP_ACT_NOTIFY: 0x7fc0_0000,
  } as const
  for (const [action, value] of Object.entries(outcomes) as [keyof typeof outcomes, number][]) {
    const seccomp: LinuxSeccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['read'], action, errnoRet: 5 }],
    }
    t.equal(verdict(seccomp, 'read'), value, action)
    t.equal(verdict(seccomp, 'write'), ALLOW)
    t.equal(compileSeccomp(seccomp, 'amd64').notifies, action === 'SCMP_ACT_NOTIFY')
  }
  t.end()
})

t.test('a strict profile says ENOSYS to calls that are newer than all it names', (t) => {
  const strict: LinuxSeccomp = {
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures: ['SCMP_ARCH_X86'],
    syscalls: [{ names: ['read', 'clone3'], action: 'SCMP_ACT_ALLOW' }],
  }
  t.equal(verdict(strict, 'write'), ERRNO | 1, 'EPERM')
  t.equal(verdict(strict, 435), ALLOW)
  t.equal(verdict(strict, 436), ERRNO | 38, 'ENOSYS')
  t.equal(verdict(strict, 436, [], I386), ERRNO | 38)
  t.equal(verdict({ ...strict, defaultAction: 'SCMP_ACT_LOG' }, 436), 0x7ffc_0000, 'a lenient one does not')
  t.end()
})

t.test('i386: calls behind socketcall and ipc are meant too', (t) => {
  const seccomp: LinuxSeccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86'],
    syscalls: [{ names: ['socket', 'shmget'], action: 'SCMP_ACT_ERRNO' }],
  }
  t.equal(verdict(seccomp, 'socket', [], I386), ERRNO | 1)
  t.equal(verdict(seccomp, 'socketcall', [1n], I386), ERRNO | 1)
  t.equal(verdict(seccomp, 'socketcall', [2n], I386), ALLOW)
  t.equal(verdict(seccomp, 'ipc', [23n], I386), ERRNO | 1)
  t.equal(verdict(seccomp, 'ipc', [0x1_0017n], I386), ERRNO | 1, 'of whatever version')
  t.end()
})

t.test('rules of one call', (t) => {
  const eq = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' as const })
  const rule = (errnoRet: number, ...args: ReturnType<typeof eq>[]) =>
    ({ names: ['clone'], action: 'SCMP_ACT_ERRNO', errnoRet, args }) as const
  const seccomp = (...syscalls: LinuxSeccomp['syscalls'] & object): LinuxSeccomp => ({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls,
  })
  t.equal(verdict(seccomp(rule(2, eq(0, 1)), rule(3, eq(0, 1))), 'clone', [1n]), ERRNO | 2, 'the first that holds')
  t.equal(verdict(seccomp(rule(2, eq(0, 1)), rule(3)), 'clone', [1n]), ERRNO | 3, 'one without arguments beats them')
  t.equal(verdict(seccomp(rule(2), rule(3)), 'clone'), ERRNO | 2, 'the first without arguments')
  t.equal(verdict(seccomp(rule(2, eq(0, 1), eq(0, 5))), 'clone', [5n]), ERRNO | 2, 'two about the same argument: any')
  t.equal(verdict(seccomp(rule(2, eq(0, 1), eq(1, 5))), 'clone', [1n, 6n]), ALLOW, 'about different ones: all')
  t.end()
})

t.test('jumps over more than 255 instructions', (t) => {
  // Hundreds of rules with different outcomes, each with a 64-bit comparison, for a hundred calls.
  const names = [...numbers.keys()].slice(0, 100)
  const syscalls = names.map((name, index) => ({
    names: [name],
    action: 'SCMP_ACT_ERRNO' as const,
    errnoRet: index + 1,
    args: [0, 1, 2].map((at) => ({ index: at, value: BigInt(index) << 33n, op: 'SCMP_CMP_GE' as const })),
  }))
  const seccomp: LinuxSeccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls }
  t.ok(compileSeccomp(seccomp, 'amd64').filter.length / 8 > 600)
  for (const [index, name] of names.entries()) {
    const edge = BigInt(index) << 33n
    t.equal(verdict(seccomp, name, [edge, edge, edge]), ERRNO | (index + 1))
    if (index > 0) t.equal(verdict(seccomp, name, [edge, edge - 1n, edge]), ALLOW)
  }
  t.end()
})

t.test('a program larger than the kernel takes', (t) => {
  const args = [0, 1, 2, 3, 4, 5].map((index) => ({ index, value: 2n ** 40n, op: 'SCMP_CMP_GT' as const }))
  const syscalls = [...numbers.keys()].map((name, index) => ({
    names: [name],
    action: 'SCMP_ACT_ERRNO' as const,
    errnoRet: index + 1,
    args,
  }))
  t.throws(() => compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }, 'amd64'), {
    code: 'SECCOMP_PROFILE_INVALID',
    message: /the kernel takes 4096/,
  })
  t.end()
})

t.test('flags of a filter with a listener', (t) => {
  const { flags } = compileSeccomp(
    {
      defaultAction: 'SCMP_ACT_ALLOW',
      flags: ['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'],
      syscalls: [{ names: ['mount'], action: 'SCMP_ACT_NOTIFY' }],
    },
    'amd64',
  )
  t.equal(flags, 32 + 8)
  t.end()
})

t.test('flags', (t) => {
  const flags = (value?: LinuxSeccomp['flags']) =>
    compileSeccomp({ defaultAction: 'SCMP_ACT_ALLOW', ...(value === undefined ? {} : { flags: value }) }, 'amd64').flags
  t.equal(flags(), 4)
  t.equal(flags([]), 0)
  t.equal(flags(['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV']), 2, 'nothing is received')
  t.end()
})

t.test('compiled once for each content', (t) => {
  const make = (): LinuxSeccomp => ({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['read'], action: 'SCMP_ACT_LOG' }],
  })
  t.equal(compileSeccomp(make(), 'amd64'), compileSeccomp(make(), 'amd64'))
  t.not(compileSeccomp(make(), 'amd64'), compileSeccomp(make(), 'arm64'))
  const context = { arch: 'amd64', capabilities: ['CAP_CHOWN'] } as const
  t.equal(
    defaultSeccomp(context),
    defaultSeccomp({ ...context, capabilities: ['CAP_KILL'] }),
    'same conditions, same section',
  )
  t.not(defaultSeccomp(context), defaultSeccomp({ ...context, capabilities: ['CAP_BPF'] }))
  t.throws(
    () => Object.assign(defaultSeccomp(context), { defaultAction: 'SCMP_ACT_ALLOW' }),
    TypeError,
    'can’t be changed',
  )
  t.end()
})

t.test('the assembler: targets that are reached over bridges', (t) => {
  const pass: Step = { kind: 'return', value: 1 }
  const far: Step = {
    kind: 'load',
    offset: 16,
    next: { kind: 'jump', test: 'eq', value: 7, yes: { kind: 'return', value: 2 }, no: pass },
  }
  let step: Step = pass
  for (let number = 0; number < 600; number++) step = { kind: 'jump', test: 'eq', value: number, yes: far, no: step }
  const filter = assemble({ kind: 'load', offset: 0, next: step })
  checkFilter(filter)
  for (const number of [0, 1, 255, 256, 257, 599]) {
    t.equal(runFilter(filter, { number, arch: 0, args: [7n] }).value, 2)
    t.equal(runFilter(filter, { number, arch: 0, args: [8n] }).value, 1)
  }
  t.equal(runFilter(filter, { number: 600, arch: 0, args: [7n] }).value, 1)
  t.end()
})

t.test('the assembler: just in reach, and just out of it', (t) => {
  for (let between = 250; between < 262; between++) {
    // A jump to what follows a run of loads, over them or through them, which empties what was loaded; on each side once.
    const far: Step = {
      kind: 'jump',
      test: 'ge',
      value: 5,
      yes: { kind: 'return', value: 5 },
      no: { kind: 'return', value: 4 },
    }
    let run: Step = far
    for (let count = 0; count < between; count++) run = { kind: 'load', offset: 16, next: run }
    for (const [yes, no] of [
      [far, run],
      [run, far],
    ] as const) {
      const filter = assemble({ kind: 'load', offset: 0, next: { kind: 'jump', test: 'eq', value: 7, yes, no } })
      checkFilter(filter)
      for (const number of [3, 6, 7]) {
        const over = (number === 7) === (yes === far)
        const { value } = runFilter(filter, { number, arch: 0 })
        t.equal(value, over && number >= 5 ? 5 : 4, `${String(number)} over ${String(between)}`)
      }
    }
  }
  t.end()
})
