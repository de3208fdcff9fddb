/** System calls by name and number, for each architecture that a filter can be about. Pure. */
import { show } from '../schema/faults.js'
import { nearestName } from '../schema/nearest-name.js'
import { foreignSyscalls, syscallTable } from './syscall-table.js'

/** The columns of {@link syscallTable}. */
export const syscallArchitectures = ['x86_64', 'x86', 'x32', 'aarch64', 'arm'] as const
export type SyscallArchitecture = (typeof syscallArchitectures)[number]

/** Set in the numbers of x32, which shares its architecture code with x86-64 (seccomp(2)). */
export const x32Bit = 0x4000_0000

let tables: Readonly<Record<SyscallArchitecture, ReadonlyMap<string, number>>> | undefined
let known: ReadonlySet<string> | undefined

/** Name to number. The numbers of x32 have bit 30 set, as a filter sees them. */
export function syscallNumbers(architecture: SyscallArchitecture): ReadonlyMap<string, number> {
  tables ??= readTables()
  return tables[architecture]
}

/** What is wrong with a name that no architecture has; undefined for a right one. */
export function unknownSyscall(name: string): string | undefined {
  known ??= new Set([...rows().map(([first]) => first ?? ''), ...foreignSyscalls.trim().split(/\s+/), ''])
  if (known.has(name)) return undefined
  const near = nearestName(name, known)
  return `${show(name)} is no system call${near === undefined ? '' : `; did you mean ${near}?`}`
}

function rows(): string[][] {
  return syscallTable
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
}

function readTables(): Record<SyscallArchitecture, ReadonlyMap<string, number>> {
  const lines = rows()
  const column = (architecture: SyscallArchitecture, index: number): ReadonlyMap<string, number> => {
    const numbers = lines.flatMap((line): [string, number][] => {
      const [name = '', number = '-'] = [line[0], line[index + 1]]
      return number === '-' ? [] : [[name, architecture === 'x32' ? x32Bit + Number(number) : Number(number)]]
    })
    return new Map(numbers)
  }
  return Object.fromEntries(syscallArchitectures.map((name, index) => [name, column(name, index)])) as Record<
    SyscallArchitecture,
    ReadonlyMap<string, number>
  >
}
