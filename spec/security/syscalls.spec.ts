/** Our numbers of system calls are those of the kernel's headers. */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { syscallNumbers, unknownSyscall, x32Bit, type SyscallArchitecture } from '../../lib/security/syscalls.js'

const headers: [SyscallArchitecture, string][] = [
  ['x86_64', '/usr/include/x86_64-linux-gnu/asm/unistd_64.h'],
  ['x86', '/usr/include/x86_64-linux-gnu/asm/unistd_32.h'],
  ['x32', '/usr/include/x86_64-linux-gnu/asm/unistd_x32.h'],
  ['aarch64', '/usr/aarch64-linux-gnu/include/asm/unistd_64.h'],
]

for (const [architecture, path] of headers.filter(([, header]) => existsSync(header))) {
  t.test(architecture, (t) => {
    const numbers = syscallNumbers(architecture)
    const defined = [
      ...readFileSync(path, 'utf8').matchAll(/^#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ )?(\d+)\)?$/gm),
    ]
    t.ok(defined.length > 250)
    const wrong = defined
      .map(([, name = '', number]) => [name, Number(number) + (architecture === 'x32' ? x32Bit : 0)] as const)
      .filter(([name, number]) => numbers.get(name) !== number)
    t.same(wrong, [])
    t.equal(new Set(numbers.values()).size, numbers.size, 'no number twice')
    t.end()
  })
}

t.test('one table at least', (t) => {
  t.ok(headers.some(([, header]) => existsSync(header)))
  t.equal(unknownSyscall('openat2'), undefined)
  t.equal(unknownSyscall('riscv_flush_icache'), undefined, 'of another architecture')
  t.equal(unknownSyscall('opnat'), `'opnat' is no system call; did you mean openat?`)
  t.equal(unknownSyscall('constructor'), `'constructor' is no system call`)
  t.equal(syscallNumbers('x32').get('read'), 0x4000_0000)
  t.equal(syscallNumbers('aarch64').get('open'), undefined)
  t.end()
})
