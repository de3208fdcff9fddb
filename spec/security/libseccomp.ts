/** The filter that libseccomp makes of the same section, by a small C program that the spec compiles. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seccompOperators, type LinuxSeccomp } from '../../lib/security/linux-seccomp.js'
import type { MachineArchitecture } from '../../lib/security/seccomp-profile.js'
import { defaultReturn, returnValue } from '../../lib/security/seccomp-rules.js'

const source = fileURLToPath(new URL('../../../spec/fixtures/seccomp/export.c', import.meta.url))

export interface Exporter {
  readonly export: (seccomp: LinuxSeccomp, machine: MachineArchitecture) => Uint8Array
  readonly remove: () => void
}

/** `export` runs the program, which is compiled at the first call; `remove` deletes it. */
export function lazyExporter(): Exporter {
  let exporter: Exporter | undefined
  return {
    export: (seccomp, machine) => (exporter ??= buildExporter()).export(seccomp, machine),
    remove: () => exporter?.remove(),
  }
}

function buildExporter(): Exporter {
  const directory = mkdtempSync(join(tmpdir(), 'podling-seccomp-'))
  const program = join(directory, 'export')
  execFileSync('cc', ['-Wall', '-Wextra', '-o', program, source, '-lseccomp'])
  return {
    export: (seccomp, machine) => execFileSync(program, { input: rules(seccomp, machine), maxBuffer: 1 << 20 }),
    remove: () => {
      rmSync(directory, { recursive: true })
    },
  }
}

function rules(seccomp: LinuxSeccomp, machine: MachineArchitecture): string {
  const lines = [
    `default ${String(defaultReturn(seccomp))}`,
    `machine ${machine === 'arm64' ? 'aarch64' : 'x86_64'}`,
    'optimize 2',
  ]
  for (const name of seccomp.architectures ?? []) lines.push(`arch ${name.replace('SCMP_ARCH_', '').toLowerCase()}`)
  for (const { names, action, errnoRet, args = [] } of seccomp.syscalls ?? []) {
    const then = String(returnValue(action, errnoRet))
    const tests = args.map(({ index, op, value, valueTwo = 0 }) =>
      [index, seccompOperators.indexOf(op) + 1, value, valueTwo].map(String).join(' '),
    )
    const repeats = new Set(args.map(({ index }) => index)).size < args.length
    for (const name of names) {
      if (repeats) for (const test of tests) lines.push(`rule ${then} ${name} 1 ${test}`)
      else lines.push(`rule ${then} ${name} ${String(tests.length)} ${tests.join(' ')}`)
    }
  }
  return `${lines.join('\n')}\n`
}
