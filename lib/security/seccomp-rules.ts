/** What a seccomp section says about each system call of one architecture. Pure. */
import type { LinuxSeccomp, SeccompAction, SeccompArgument, SeccompRule } from './linux-seccomp.js'
import { multiplexers } from './multiplexed-syscalls.js'
import { syscallNumbers, type SyscallArchitecture } from './syscalls.js'

/** What becomes of one system call: the first condition that holds decides, else `otherwise`. Returns are SECCOMP_RET_*. */
export interface Verdict {
  readonly conditions: readonly Condition[]
  readonly otherwise: number
}

/** All of the tests must hold. */
export interface Condition {
  readonly tests: readonly ArgumentTest[]
  readonly then: number
}

export type ArgumentTest = Pick<SeccompArgument, 'index' | 'op'> & { readonly value: bigint; readonly valueTwo: bigint }

const returns: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_KILL: 0x0000_0000,
  SCMP_ACT_KILL_THREAD: 0x0000_0000,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_NOTIFY: 0x7fc0_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
}

const EPERM = 1
export const killThread = returns.SCMP_ACT_KILL_THREAD

/** The value that a filter returns for an action (seccomp(2)). */
export function returnValue(action: SeccompAction, errno: number | undefined): number {
  const carriesData = action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE'
  return (returns[action] | (carriesData ? (errno ?? EPERM) & 0xffff : 0)) >>> 0
}

export function defaultReturn(seccomp: LinuxSeccomp): number {
  return returnValue(seccomp.defaultAction, seccomp.defaultErrnoRet)
}

/**
 * The verdicts by number, for the calls that a rule is about; those of names that this architecture lacks have no effect.
 * As with libseccomp a rule without arguments beats those with arguments, and of two without the first counts; a rule
 * whose action is the default one says nothing. Of rules with arguments that both hold, the first counts.
 */
export function verdictsOf(seccomp: LinuxSeccomp, architecture: SyscallArchitecture): Map<number, Verdict> {
  const numbers = syscallNumbers(architecture)
  const otherwise = defaultReturn(seccomp)
  const always = new Map<number, number>()
  const conditions = new Map<number, Condition[]>()
  const add = (number: number, tests: readonly ArgumentTest[], then: number): void => {
    if (tests.length === 0) {
      if (!always.has(number)) always.set(number, then)
      return
    }
    const list = conditions.get(number)
    if (list === undefined) conditions.set(number, [{ tests, then }])
    else list.push({ tests, then })
  }
  for (const rule of seccomp.syscalls ?? []) {
    const then = returnValue(rule.action, rule.errnoRet)
    if (then === otherwise) continue
    const alternatives = alternativesOf(rule)
    for (const name of rule.names) {
      const number = numbers.get(name)
      if (number === undefined && architecture !== 'x86') continue
      for (const tests of alternatives) {
        if (number !== undefined) add(number, tests, then)
        if (architecture === 'x86') addMultiplexed(name, tests, then, add)
      }
    }
  }
  const verdicts = new Map<number, Verdict>()
  for (const [number, list] of conditions) verdicts.set(number, { conditions: list, otherwise })
  for (const [number, then] of always) verdicts.set(number, { conditions: [], otherwise: then })
  return verdicts
}

/** The greatest number that any rule names; -1 when none has one here. */
export function lastNamed(seccomp: LinuxSeccomp, architecture: SyscallArchitecture): number {
  const numbers = syscallNumbers(architecture)
  let last = -1
  for (const { names } of seccomp.syscalls ?? []) {
    for (const name of names) last = Math.max(last, numbers.get(name) ?? -1)
  }
  return last
}

/**
 * Tests that must all hold; but where two are about the same argument, any one of the rule's tests is enough, as runc
 * has it.
 */
function alternativesOf({ args = [] }: SeccompRule): ArgumentTest[][] {
  const tests = args.map((arg): ArgumentTest => {
    const { index, op, value, valueTwo = 0 } = arg
    return { index, op, value: BigInt.asUintN(64, BigInt(value)), valueTwo: BigInt.asUintN(64, BigInt(valueTwo)) }
  })
  const repeats = new Set(tests.map(({ index }) => index)).size < tests.length
  return repeats ? tests.map((test) => [test]) : [tests]
}

/**
 * i386 has many calls a second time, as a number of socketcall(2) or ipc(2). Their arguments are then in memory, where
 * a filter can't look, so only rules without arguments are carried over.
 */
function addMultiplexed(
  name: string,
  tests: readonly ArgumentTest[],
  then: number,
  add: (number: number, tests: readonly ArgumentTest[], then: number) => void,
): void {
  const multiplexed = multiplexers.get(name)
  if (multiplexed === undefined || tests.length > 0) return
  const { number, call, mask } = multiplexed
  add(number, [{ index: 0, op: 'SCMP_CMP_MASKED_EQ', value: mask, valueTwo: call }], then)
}

/** Does it allow these calls, whatever their arguments? */
export function allowsAlways(seccomp: LinuxSeccomp, names: readonly string[]): boolean {
  const allowed = (action: SeccompAction): boolean => action === 'SCMP_ACT_ALLOW' || action === 'SCMP_ACT_LOG'
  return names.every((name) => {
    const rules = (seccomp.syscalls ?? []).filter((rule) => rule.names.includes(name))
    return (
      rules.every(({ action }) => allowed(action)) &&
      (rules.some(({ args = [] }) => args.length === 0) || allowed(seccomp.defaultAction))
    )
  })
}
