/** What a system call costs under the default profile: by our filter, and by the one that libseccomp makes of it, as a tree. */
import { execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { defaultCapabilities } from '../../lib/security/capabilities.js'
import { defaultSeccomp } from '../../lib/security/default-seccomp-profile.js'
import { compileSeccomp } from '../../lib/security/seccomp-compile.js'
import { machine } from '../../lib/security/seccomp-profile.js'
import { syscallNumbers } from '../../lib/security/syscalls.js'
import { lazyExporter } from '../security/libseccomp.js'
import type { Row } from './table.js'
import { gather, inTurn, type Context, type Maker, type Trial } from './trial.js'

const CALLS = 20_000

/**
 * The kernel remembers what is allowed whatever the arguments, and asks no filter again; it does ask about the others, and
 * about what is refused.
 */
const calls = [
  { what: 'allowed', name: 'getppid', argument: 0 },
  { what: 'allowed by its argument', name: 'personality', argument: 0xffff_ffff },
  { what: 'refused', name: 'process_madvise', argument: -1 },
] as const

export const seccomp: Trial = {
  name: 'seccomp',
  about: 'one system call under the default seccomp profile',
  own: false,
  async run(context) {
    const samples = await inTurn(
      context,
      await gather(context, { floor: unfiltered, podling: filtered, libseccomp: peer }),
    )
    return calls.flatMap(({ what }) =>
      [`floor, ${what}`, `podling, ${what}`, `libseccomp, ${what}`].flatMap((subject): Row[] => {
        const values = samples.get(subject)
        if (values === undefined) return []
        const floor = samples.get(`floor, ${what}`)
        return [
          {
            trial: 'seccomp',
            subject,
            unit: 'ns',
            samples: values,
            ...(floor === undefined ? {} : { floor }),
            ...(subject.startsWith('podling') ? { aim: "at most libseccomp's" } : {}),
          },
        ]
      }),
    )
  },
}

const rules = defaultSeccomp({ arch: machine, capabilities: defaultCapabilities })

const unfiltered: Maker = async (context) => [subject(context, 'floor', new Uint8Array())]

const filtered: Maker = async (context) => [subject(context, 'podling', compileSeccomp(rules, machine).filter)]

const peer: Maker = async (context) => {
  const exporter = lazyExporter()
  try {
    return [subject(context, 'libseccomp', exporter.export(rules, machine))]
  } finally {
    exporter.remove()
  }
}

function subject({ workspace: { directory } }: Context, name: string, filter: Uint8Array) {
  const program = join(directory, `syscall-cost-${name}`)
  const source = fileURLToPath(new URL('../../../spec/bench/syscall_cost.c', import.meta.url))
  execFileSync('cc', ['-O2', '-static', '-Wall', '-Wextra', '-Werror', '-o', program, source])
  const numbers = syscallNumbers(machine === 'arm64' ? 'aarch64' : 'x86_64')
  return {
    name,
    async sample() {
      const samples: Record<string, number[]> = {}
      for (const { what, name: call, argument } of calls) {
        const number = numbers.get(call) ?? -1
        samples[`${name}, ${what}`] = await run(program, [CALLS, number, argument].map(String), filter)
      }
      return samples
    },
  }
}

/** Nanoseconds, of the quickest quarter: what else the machine does makes the others. */
async function run(program: string, argv: readonly string[], input: Uint8Array): Promise<number[]> {
  const child = spawn(program, argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(input)
  const times = (await text(child.stdout)).trim().split('\n').map(Number)
  return times.sort((a, b) => a - b).slice(0, times.length / 4)
}
