import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  loadSeccompProfile,
  parseSeccompProfile,
  resolveSeccompProfile,
  type SeccompProfile,
} from '../../lib/security/seccomp-profile.js'

t.test('all faults at once, each with its place', (t) => {
  const profile = {
    defaultAction: 'SCMP_ACT_ALOW',
    defaultErrno: 'ENOSIS',
    archmap: [],
    architectures: ['SCMP_ARCH_X86_64', 'x86'],
    syscalls: [
      { names: ['opne'], action: 'SCMP_ACT_ERRNO', errnoRet: -1 },
      { names: [], action: 'SCMP_ACT_ERRNO' },
      { names: ['socket'], action: 'SCMP_ACT_ERRNO', args: [{ index: 6, value: 2 ** 60, op: 'SCMP_CMP_EQUAL' }] },
      { names: ['read'], includes: { cap: [] } },
    ],
  }
  let message = ''
  try {
    parseSeccompProfile(profile)
  } catch (error) {
    message = (error as Error).message
    t.match(error, { code: 'SECCOMP_PROFILE_INVALID' })
  }
  for (const line of [
    'seccomp profile: 12 mistakes',
    'archmap: unknown property; did you mean archMap?',
    'defaultAction: must be one of',
    `defaultErrno: must be an errno such as 'ENOSYS', got 'ENOSIS'`,
    'architectures[1]: must be one of the known names',
    `syscalls[0].names[0]: 'opne' is no system call; did you mean open?`,
    'syscalls[0].errnoRet: must be 0..4095, got -1',
    'syscalls[1].names: must not be empty',
    'syscalls[2].args[0].index: must be 0..5, got 6',
    'syscalls[2].args[0].value: must be a whole number 0..2^64-1, beyond 2^53 as a bigint, got 1152921504606847000',
    `did you mean 'SCMP_CMP_EQ'?`,
    'syscalls[3].action: is required',
    'syscalls[3].includes.cap: unknown property; did you mean caps?',
  ]) {
    t.ok(message.includes(line), line)
  }
  t.end()
})

t.test('contradictions', (t) => {
  const rule = { action: 'SCMP_ACT_ALLOW' }
  t.throws(() => parseSeccompProfile({ defaultAction: 'SCMP_ACT_KILL', syscalls: [rule] }), {
    message: /syscalls\[0\]\.names: is required/,
  })
  t.throws(
    () =>
      parseSeccompProfile({ defaultAction: 'SCMP_ACT_KILL', syscalls: [{ ...rule, name: 'read', names: ['read'] }] }),
    { message: /name or names, not both/ },
  )
  const archMap = [{ architecture: 'SCMP_ARCH_X86_64' }]
  t.throws(
    () => parseSeccompProfile({ defaultAction: 'SCMP_ACT_KILL', archMap, architectures: ['SCMP_ARCH_X86_64'] }),
    { message: /archMap: must not stand beside architectures/ },
  )
  t.throws(
    () =>
      parseSeccompProfile({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mount'], action: 'SCMP_ACT_NOTIFY' }],
      }),
    {
      message: /listenerPath: is required by SCMP_ACT_NOTIFY/,
    },
  )
  for (const wrong of [undefined, null, 'unconfined', [], {}]) {
    t.throws(() => parseSeccompProfile(wrong), { code: 'SECCOMP_PROFILE_INVALID' })
  }
  t.end()
})

t.test('conditions', (t) => {
  const rule = (names: string, more: object) => ({ names: [names], action: 'SCMP_ACT_ALLOW' as const, ...more })
  const profile: SeccompProfile = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrno: 'ENOSYS',
    archMap: [{ architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] }],
    syscalls: [
      rule('read', {}),
      rule('write', { includes: { arches: ['arm64'] } }),
      rule('open', { excludes: { arches: ['arm64'] } }),
      rule('bpf', { includes: { caps: ['CAP_BPF', 'CAP_SYS_ADMIN'] } }),
      rule('mount', { excludes: { caps: ['CAP_BPF', 'CAP_CHOWN'] } }),
      rule('ptrace', { includes: { minKernel: '4.8' } }),
      rule('openat', { excludes: { minKernel: '4.8' } }),
    ],
  }
  const names = (arch: 'amd64' | 'arm64', capabilities: string[], kernel: string) =>
    resolveSeccompProfile(profile, { arch, capabilities, kernel }).syscalls?.flatMap((one) => one.names)
  t.same(names('arm64', [], '6.1.0-3-arm64'), ['read', 'write', 'mount', 'ptrace'])
  t.same(names('amd64', [], '4.8'), ['read', 'open', 'mount', 'ptrace'])
  t.same(names('amd64', ['CAP_BPF'], '4.7.9'), ['read', 'open', 'openat'])
  t.same(names('amd64', ['CAP_BPF', 'CAP_SYS_ADMIN'], '3.10'), ['read', 'open', 'bpf', 'openat'])
  t.match(resolveSeccompProfile(profile, { arch: 'arm64', capabilities: [] }), {
    defaultErrnoRet: 38,
    architectures: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  })
  t.equal(resolveSeccompProfile(profile, { arch: 'amd64', capabilities: [] }).architectures, undefined)
  t.end()
})

t.test('from a file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podling-profile-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const path = join(directory, 'profile.json')
  writeFileSync(
    path,
    `{ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": null, "syscalls": [{ "names": ["clone"],
       "action": "SCMP_ACT_ERRNO", "comment": "value 18446744073709551615", "errno": "",
       "args": [{ "index": 0, "value": 18446744073709551615, "valueTwo": 9007199254740993, "op": "SCMP_CMP_MASKED_EQ" }] }] }`,
  )
  const profile = await loadSeccompProfile(path)
  t.same(profile.syscalls?.[0]?.args, [
    { index: 0, value: 2n ** 64n - 1n, valueTwo: 2n ** 53n + 1n, op: 'SCMP_CMP_MASKED_EQ' },
  ])
  t.equal(profile.syscalls?.[0]?.comment, 'value 18446744073709551615')
  writeFileSync(path, '{ "defaultAction": ')
  await t.rejects(loadSeccompProfile(path), {
    code: 'SECCOMP_PROFILE_INVALID',
    message: /profile\.json is no JSON/,
    path,
  })
  await t.rejects(loadSeccompProfile(join(directory, 'none')), { code: 'SECCOMP_PROFILE_INVALID', message: /ENOENT/ })
})
