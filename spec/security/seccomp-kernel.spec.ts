/** The kernel takes our filter, and decides as it says. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { defaultCapabilities } from '../../lib/security/capabilities.js'
import { defaultSeccomp } from '../../lib/security/default-seccomp-profile.js'
import type { LinuxSeccomp } from '../../lib/security/linux-seccomp.js'
import { compileSeccomp } from '../../lib/security/seccomp-compile.js'
import { syscallNumbers } from '../../lib/security/syscalls.js'

const arch = process.arch === 'arm64' ? 'arm64' : 'amd64'
const numbers = syscallNumbers(arch === 'arm64' ? 'aarch64' : 'x86_64')
const directory = mkdtempSync(join(tmpdir(), 'podling-seccomp-'))
const program = join(directory, 'enter')
execFileSync('cc', [
  '-Wall',
  '-o',
  program,
  fileURLToPath(new URL('../../../spec/fixtures/seccomp/enter.c', import.meta.url)),
])
t.teardown(() => {
  rmSync(directory, { recursive: true })
})

const EPERM = 1
const EBADF = 9
const EINVAL = 22
const ENOSYS = 38

/** Make calls under a filter; `personality:8` is a name and up to three arguments. */
function enter(seccomp: LinuxSeccomp, ...calls: string[]) {
  const words = calls.map((call) => call.replace(/^[a-z]\w*/, (name) => String(numbers.get(name))))
  const { stdout, signal, stderr } = spawnSync(program, words, { input: compileSeccomp(seccomp, arch).filter })
  return { results: stdout.toString().trim().split('\n').map(Number), signal, stderr: stderr.toString() }
}

t.test('the default profile', (t) => {
  const seccomp = defaultSeccomp({ arch, capabilities: defaultCapabilities })
  const { results, stderr } = enter(
    seccomp,
    ...['close:999', 'personality:0', 'personality:4', 'socket:16,3,9', 'swapoff:0', 'init_module:0', '2000'],
  )
  t.equal(stderr, '')
  t.same(results, [-EBADF, 0, -ENOSYS, -EINVAL, -EPERM, -EPERM, -ENOSYS])
  t.end()
})

t.test('64-bit arguments, and a call that kills', (t) => {
  // The kernel's close(2) looks at the lower half alone.
  const edge = 2 ** 40 + 999
  const seccomp: LinuxSeccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [
      {
        names: ['close'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: 77,
        args: [{ index: 0, value: edge, op: 'SCMP_CMP_GT' }],
      },
      { names: ['getppid'], action: 'SCMP_ACT_KILL_PROCESS' },
    ],
  }
  t.same(enter(seccomp, `close:${String(edge)}`, `close:${String(edge + 1)}`).results, [-EBADF, -77])
  t.equal(enter(seccomp, 'getppid').signal, 'SIGSYS')
  t.end()
})
