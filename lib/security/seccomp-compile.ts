/**
 * A seccomp section to the classic BPF program that the kernel runs at every system call. Pure.
 *
 * The program looks at the architecture, then searches the number in a balanced tree of ranges: neighbours with the same
 * verdict are one range, so a filter of 370 allowed calls has some 60 of them, and 6 comparisons find the right one.
 * Before an unconditional verdict only number and architecture are loaded; for such calls the kernel (since 5.11) asks
 * the filter once and then remembers.
 */
import { PodlingError } from '../errors.js'
import { formatExactJson } from '../schema/exact-json.js'
import { assemble, maxInstructions, type Step } from './bpf.js'
import type { LinuxSeccomp, SeccompArchitecture, SeccompFlag } from './linux-seccomp.js'
import {
  defaultReturn,
  killThread,
  lastNamed,
  returnValue,
  verdictsOf,
  type ArgumentTest,
  type Verdict,
} from './seccomp-rules.js'
import type { MachineArchitecture } from './seccomp-profile.js'
import { x32Bit, type SyscallArchitecture } from './syscalls.js'

export interface CompiledSeccomp {
  /** `struct sock_filter[]` in host byte order. */
  readonly filter: Uint8Array
  /** SECCOMP_FILTER_FLAG_* of seccomp(2). */
  readonly flags: number
  /** Some call is decided by a listener (`SCMP_ACT_NOTIFY`), which the kernel makes by one of the flags. */
  readonly notifies: boolean
}

/** SECCOMP_FILTER_FLAG_NEW_LISTENER. */
const newListener = 8

const flagValues: Readonly<Record<SeccompFlag, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
}

/** Offsets in struct seccomp_data. */
const NUMBER = 0
const ARCHITECTURE = 4
const ARGUMENTS = 16

interface Abi {
  /** AUDIT_ARCH_* of linux/audit.h. */
  readonly audit: number
  readonly table: SyscallArchitecture
  /** Registers of 32 bits: only the lower half of an argument counts. */
  readonly narrow: boolean
}

const abis: Readonly<Partial<Record<SeccompArchitecture, Abi>>> = {
  SCMP_ARCH_X86_64: { audit: 0xc000_003e, table: 'x86_64', narrow: false },
  SCMP_ARCH_X32: { audit: 0xc000_003e, table: 'x32', narrow: true },
  SCMP_ARCH_X86: { audit: 0x4000_0003, table: 'x86', narrow: true },
  SCMP_ARCH_AARCH64: { audit: 0xc000_00b7, table: 'aarch64', narrow: false },
  SCMP_ARCH_ARM: { audit: 0x4000_0028, table: 'arm', narrow: true },
}

/** What processes of a machine can be, its own first. Others that a profile names can't happen there. */
const machines: Readonly<Record<MachineArchitecture, readonly SeccompArchitecture[]>> = {
  amd64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
}

const byObject = new WeakMap<LinuxSeccomp, Map<MachineArchitecture, CompiledSeccomp>>()
const byContent = new Map<string, CompiledSeccomp>()
const contentLimit = 64

/**
 * The filter for a machine. Compiled once for each content; the results are shared, so they must not be written to.
 * @throws PodlingError `SECCOMP_PROFILE_INVALID` when the program would be longer than the kernel takes
 */
export function compileSeccomp(seccomp: LinuxSeccomp, arch: MachineArchitecture): CompiledSeccomp {
  const known = byObject.get(seccomp)?.get(arch)
  if (known !== undefined) return known
  const key = `${arch} ${formatExactJson(seccomp)}`
  const compiled = byContent.get(key) ?? compile(seccomp, arch)
  // The least recently used one, which stands first, makes room.
  byContent.delete(key)
  byContent.set(key, compiled)
  const [oldest] = byContent.keys()
  if (byContent.size > contentLimit && oldest !== undefined) byContent.delete(oldest)
  // An object that can still change must be looked at again.
  if (Object.isFrozen(seccomp)) {
    byObject.set(seccomp, new Map([...(byObject.get(seccomp) ?? []), [arch, compiled]]))
  }
  return compiled
}

function compile(seccomp: LinuxSeccomp, arch: MachineArchitecture): CompiledSeccomp {
  const filter = assemble(program(seccomp, arch))
  const length = filter.length / 8
  if (length > maxInstructions) {
    throw new PodlingError(
      'SECCOMP_PROFILE_INVALID',
      `the seccomp profile makes a filter of ${String(length)} instructions; the kernel takes ${String(maxInstructions)}`,
    )
  }
  // Without a word about flags: no mitigation against speculative store bypass, as runc and the kernel (5.16) have it.
  const flags = seccomp.flags ?? ['SECCOMP_FILTER_FLAG_SPEC_ALLOW']
  const notifies = notifiesOf(seccomp)
  // There is but one thread to filter, and beside it the one that hands the listener over, which is not to be. How a listener
  // is waited for means nothing without one, and the kernel refuses to be told.
  const meaningless = notifies ? 'SECCOMP_FILTER_FLAG_TSYNC' : 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'
  return {
    filter,
    flags: flags
      .filter((flag) => flag !== meaningless)
      .reduce((sum, flag) => sum | flagValues[flag], notifies ? newListener : 0),
    notifies,
  }
}

/** Whether some call is for a listener to decide. */
export function notifiesOf({ defaultAction, syscalls = [] }: LinuxSeccomp): boolean {
  return defaultAction === 'SCMP_ACT_NOTIFY' || syscalls.some(({ action }) => action === 'SCMP_ACT_NOTIFY')
}

function program(seccomp: LinuxSeccomp, arch: MachineArchitecture): Step {
  const [native, ...others] = machines[arch]
  const asked = new Set([native, ...others.filter((name) => seccomp.architectures?.includes(name))])
  const builder = new Builder(seccomp)
  const kill = builder.returns(killThread)
  let step: Step = kill
  // The machine's own is asked first, and so written last.
  for (const name of machines[arch].toReversed()) {
    const abi = name === 'SCMP_ARCH_X32' || !asked.has(name) ? undefined : abis[name]
    if (abi === undefined) continue
    const x32 = abi.table === 'x86_64' ? (asked.has('SCMP_ARCH_X32') ? abis.SCMP_ARCH_X32 : undefined) : undefined
    step = { kind: 'jump', test: 'eq', value: abi.audit, yes: builder.calls(abi, x32), no: step }
  }
  return { kind: 'load', offset: ARCHITECTURE, next: step }
}

/** From `first` on, until the next range. */
interface Range {
  readonly first: number
  readonly step: Step
}

/** Steps are made once for each meaning, so that the assembler can share them. */
class Builder {
  readonly #seccomp: LinuxSeccomp
  readonly #steps = new Map<string, Step>()

  constructor(seccomp: LinuxSeccomp) {
    this.#seccomp = seccomp
  }

  returns(value: number): Step {
    return this.#once(`return ${String(value)}`, () => ({ kind: 'return', value }))
  }

  /** Find the call's number, and its verdict. */
  calls(abi: Abi, x32: Abi | undefined): Step {
    const ranges = this.#ranges(abi, 0)
    if (abi.table === 'x86_64') {
      // x86-64 numbers end where x32 begins; without x32 they are of no known architecture.
      while ((ranges.at(-1)?.first ?? 0) >= x32Bit) ranges.pop()
      const beyond =
        x32 === undefined
          ? [
              { first: x32Bit, step: this.returns(killThread) },
              // -1 is what a tracer writes to have a call skipped; it is of every architecture, as libseccomp has it.
              { first: 0xffff_ffff, step: this.returns(defaultReturn(this.#seccomp)) },
            ]
          : this.#ranges(x32, x32Bit)
      ranges.push(...beyond)
    }
    return { kind: 'load', offset: NUMBER, next: search(joined(ranges)) }
  }

  /** All numbers from `start` on. */
  #ranges(abi: Abi, start: number): Range[] {
    const otherwise = this.returns(defaultReturn(this.#seccomp))
    const verdicts = [...verdictsOf(this.#seccomp, abi.table)].sort(([a], [b]) => a - b)
    const ranges: Range[] = [{ first: start, step: otherwise }]
    for (const [number, verdict] of verdicts) {
      if (ranges.at(-1)?.first === number) ranges.pop()
      ranges.push({ first: number, step: this.#verdict(verdict, abi) }, { first: number + 1, step: otherwise })
    }
    const unknown = this.#unknownFrom(abi)
    if (unknown !== undefined) {
      while ((ranges.at(-1)?.first ?? 0) >= unknown) ranges.pop()
      ranges.push({ first: unknown, step: this.returns(returnValue('SCMP_ACT_ERRNO', ENOSYS)) })
    }
    return ranges
  }

  /**
   * Calls newer than all that a strict profile names get ENOSYS, so that programs fall back to what they know from
   * before, instead of failing on EPERM. As runc; a profile whose default is ENOSYS says it itself.
   */
  #unknownFrom(abi: Abi): number | undefined {
    const { defaultAction, defaultErrnoRet } = this.#seccomp
    const lenient = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(defaultAction)
    if (lenient || defaultErrnoRet === ENOSYS) return undefined
    const last = lastNamed(this.#seccomp, abi.table)
    return last < 0 ? undefined : last + 1
  }

  #verdict({ conditions, otherwise }: Verdict, { narrow }: Abi): Step {
    let step = this.returns(otherwise)
    for (const { tests, then } of conditions.toReversed()) {
      let yes = this.returns(then)
      for (const test of tests.toReversed()) yes = this.#test(test, narrow, yes, step)
      step = yes
    }
    return step
  }

  #test(test: ArgumentTest, narrow: boolean, yes: Step, no: Step): Step {
    const { index, op, value, valueTwo } = test
    const low = ARGUMENTS + index * 8
    const [high, lowValue] = [Number(value >> 32n), Number(value & 0xffff_ffffn)]
    const load = (offset: number, next: Step): Step => this.#step({ kind: 'load', offset, next })
    const jump = (kind: 'eq' | 'gt' | 'ge', k: number, ifYes: Step, ifNo: Step): Step =>
      this.#step({ kind: 'jump', test: kind, value: k, yes: ifYes, no: ifNo })
    const equal = (ifYes: Step, ifNo: Step): Step => {
      const lower = load(low, jump('eq', lowValue, ifYes, ifNo))
      return narrow ? lower : load(low + 4, jump('eq', high, lower, ifNo))
    }
    const above = (kind: 'gt' | 'ge', ifYes: Step, ifNo: Step): Step => {
      const lower = load(low, jump(kind, lowValue, ifYes, ifNo))
      return narrow ? lower : load(low + 4, jump('gt', high, ifYes, jump('eq', high, lower, ifNo)))
    }
    const masked = (offset: number, mask: number, wanted: number, next: Step): Step =>
      load(offset, this.#step({ kind: 'and', mask, next: jump('eq', wanted, next, no) }))
    switch (op) {
      case 'SCMP_CMP_EQ':
        return equal(yes, no)
      case 'SCMP_CMP_NE':
        return equal(no, yes)
      case 'SCMP_CMP_GT':
        return above('gt', yes, no)
      case 'SCMP_CMP_LE':
        return above('gt', no, yes)
      case 'SCMP_CMP_GE':
        return above('ge', yes, no)
      case 'SCMP_CMP_LT':
        return above('ge', no, yes)
      case 'SCMP_CMP_MASKED_EQ': {
        // Bits of the wanted value outside of the mask don't count.
        const wanted = value & valueTwo
        const lower = masked(low, lowValue, Number(wanted & 0xffff_ffffn), yes)
        return narrow || high === 0 ? lower : masked(low + 4, high, Number(wanted >> 32n), lower)
      }
    }
  }

  readonly #ids = new Map<Step, number>()

  /** A step's identity is what it does and the identity of what follows. */
  #step(step: Step): Step {
    switch (step.kind) {
      case 'return':
        return this.returns(step.value)
      case 'load':
        return this.#once(`load ${String(step.offset)} ${this.#id(step.next)}`, () => step)
      case 'and':
        return this.#once(`and ${String(step.mask)} ${this.#id(step.next)}`, () => step)
      case 'jump':
        return this.#once(`${step.test} ${String(step.value)} ${this.#id(step.yes)} ${this.#id(step.no)}`, () => step)
    }
  }

  #once(key: string, make: () => Step): Step {
    const known = this.#steps.get(key)
    if (known !== undefined) return known
    const step = make()
    this.#steps.set(key, step)
    this.#ids.set(step, this.#ids.size)
    return step
  }

  #id(step: Step): string {
    return String(this.#ids.get(step) ?? -1)
  }
}

const ENOSYS = 38

/** Neighbours that lead to the same step are one range. */
function joined(ranges: readonly Range[]): Range[] {
  return ranges.filter(({ step }, index) => ranges[index - 1]?.step !== step)
}

/** Binary search for the range that the loaded number is in. */
function search(ranges: readonly Range[]): Step {
  const [only] = ranges
  if (only === undefined) return { kind: 'return', value: killThread }
  if (ranges.length === 1) return only.step
  const middle = Math.ceil(ranges.length / 2)
  const upper = ranges.slice(middle)
  return {
    kind: 'jump',
    test: 'ge',
    value: upper[0]?.first ?? 0,
    yes: search(upper),
    no: search(ranges.slice(0, middle)),
  }
}
