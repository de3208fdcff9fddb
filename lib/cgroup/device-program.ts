/**
 * Device rules as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE, which is how cgroup2 filters devices. Pure: it
 * makes `struct bpf_insn[]` (linux/bpf.h) in little-endian order, which all machines that Podling runs on have.
 *
 * The kernel calls it with `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }`, where access_type is
 * (access << 16) | type, and lets the access through when it returns 1.
 */
import { allowsEverything } from './device-rules.js'
import type { DeviceRule } from './resources.js'

const LOAD_WORD = 0x61 // BPF_LDX | BPF_MEM | BPF_W
const AND = 0x54 // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT = 0x74 // BPF_ALU | BPF_RSH | BPF_K
const MOVE = 0xb4 // BPF_ALU | BPF_MOV | BPF_K
const COPY = 0xbc // BPF_ALU | BPF_MOV | BPF_X
const JUMP = 0x05 // BPF_JMP | BPF_JA
const JUMP_IF_NOT = 0x56 // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP_IF = 0x16 // BPF_JMP32 | BPF_JEQ | BPF_K
const EXIT = 0x95 // BPF_JMP | BPF_EXIT

const RESULT = 0
const CONTEXT = 1
const TYPE = 2
const ACCESS = 3
const MAJOR = 4
const MINOR = 5

const TYPES = [
  ['b', 1], // BPF_DEVCG_DEV_BLOCK
  ['c', 2], // BPF_DEVCG_DEV_CHAR
] as const
const ACCESS_BITS = { m: 1, r: 2, w: 4 } as const
const ALL_ACCESS = 7

/** A place in the program that jumps go to. */
type Label = symbol

interface Instruction {
  readonly code: number
  readonly to?: number
  readonly from?: number
  readonly offset?: number
  readonly value?: number
  readonly jump?: Label
}

function accessBits(access: string): number {
  let bits = 0
  for (const letter of access) {
    if (letter === 'm' || letter === 'r' || letter === 'w') bits |= ACCESS_BITS[letter]
  }
  return bits
}

/** Rules that stand side by side and say the same of the same accesses. Their order doesn't matter among themselves. */
interface Group {
  readonly allow: boolean
  readonly bits: number
  readonly devices: { readonly type: string; readonly major: number; readonly minor: number }[]
}

function groups(rules: readonly DeviceRule[]): Group[] {
  const result: Group[] = []
  for (const { allow, type = 'a', major = -1, minor = -1, access = 'rwm' } of rules) {
    const bits = accessBits(access)
    if (type === 'p' || bits === 0) continue // fifos aren't devices to the kernel
    const device = { type: type === 'u' ? 'c' : type, major, minor }
    const last = result.at(-1)
    if (last?.allow === allow && last.bits === bits) last.devices.push(device)
    else result.push({ allow, bits, devices: [device] })
  }
  return result
}

class Program {
  readonly #instructions: Instruction[] = []
  readonly #labels = new Map<Label, number>()

  add(...instructions: readonly Instruction[]): void {
    this.#instructions.push(...instructions)
  }

  place(label: Label): void {
    this.#labels.set(label, this.#instructions.length)
  }

  decide(allow: boolean): void {
    this.add({ code: MOVE, to: RESULT, value: allow ? 1 : 0 }, { code: EXIT })
  }

  encode(): Uint8Array {
    const bytes = Buffer.alloc(this.#instructions.length * 8)
    this.#instructions.forEach(({ code, to = 0, from = 0, offset = 0, value = 0, jump }, index) => {
      const distance = jump === undefined ? offset : (this.#labels.get(jump) ?? 0) - index - 1
      bytes.writeUInt8(code, index * 8)
      bytes.writeUInt8((from << 4) | to, index * 8 + 1)
      bytes.writeInt16LE(distance, index * 8 + 2)
      bytes.writeInt32LE(value, index * 8 + 4)
    })
    return bytes
  }
}

/**
 * Jump to `hit` for the devices of a group and to `miss` for others. As a tree, type, then major, then minor, since the
 * kernel's verifier follows every path: as one chain of tests for each rule it took 0.35 ms to load, and takes 0.22 so.
 */
function match(program: Program, { devices }: Group, hit: Label, miss: Label): void {
  for (const [type, number] of TYPES) {
    const ofType = devices.filter((device) => device.type === type || device.type === 'a')
    if (ofType.length === 0) continue
    const nextType = Symbol('next type')
    program.add({ code: JUMP_IF_NOT, to: TYPE, value: number, jump: nextType })
    if (ofType.some(({ major, minor }) => major < 0 && minor < 0)) {
      program.add({ code: JUMP, jump: hit })
    } else {
      matchNumbers(program, ofType, hit)
      program.add({ code: JUMP, jump: miss })
    }
    program.place(nextType)
  }
  program.add({ code: JUMP, jump: miss })
}

function matchNumbers(program: Program, devices: Group['devices'], hit: Label): void {
  const matchMinors = (major: number): void => {
    for (const minor of new Set(devices.filter((device) => device.major === major).map((device) => device.minor))) {
      program.add({ code: JUMP_IF, to: MINOR, value: minor, jump: hit })
    }
  }
  const majors = new Set(devices.map(({ major }) => (major < 0 ? -1 : major)))
  if (majors.has(-1)) matchMinors(-1)
  for (const major of majors) {
    if (major < 0) continue
    if (devices.some((device) => device.major === major && device.minor < 0)) {
      program.add({ code: JUMP_IF, to: MAJOR, value: major, jump: hit })
      continue
    }
    const nextMajor = Symbol('next major')
    program.add({ code: JUMP_IF_NOT, to: MAJOR, value: major, jump: nextMajor })
    matchMinors(major)
    program.place(nextMajor)
  }
}

/** What holds for the devices of a group. Where that leaves something open, control goes on at `next`. */
function judge(program: Program, { allow, bits }: Group, next: Label): void {
  if (bits === ALL_ACCESS) {
    program.decide(allow)
  } else if (allow) {
    // Strike out what these rules grant; earlier rules may grant the rest. Nothing left: granted.
    program.add({ code: AND, to: ACCESS, value: ALL_ACCESS & ~bits })
    program.add({ code: JUMP_IF_NOT, to: ACCESS, value: 0, jump: next })
    program.decide(true)
  } else {
    program.add({ code: COPY, to: RESULT, from: ACCESS }, { code: AND, to: RESULT, value: bits })
    program.add({ code: JUMP_IF, to: RESULT, value: 0, jump: next })
    program.decide(false)
  }
}

/**
 * Compile rules, of which later ones win, and what no rule speaks of is denied. Each of the three accesses is judged by
 * itself: opening for reading and writing passes when one rule grants the one and another the other.
 * @returns undefined when everything is allowed, since then no program is the fastest program.
 */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array | undefined {
  if (allowsEverything(rules)) return undefined
  const program = new Program()
  program.add(
    { code: LOAD_WORD, to: TYPE, from: CONTEXT, offset: 0 },
    { code: AND, to: TYPE, value: 0xffff },
    { code: LOAD_WORD, to: ACCESS, from: CONTEXT, offset: 0 },
    { code: SHIFT_RIGHT, to: ACCESS, value: 16 },
    { code: LOAD_WORD, to: MAJOR, from: CONTEXT, offset: 4 },
    { code: LOAD_WORD, to: MINOR, from: CONTEXT, offset: 8 },
  )
  for (const group of groups(rules.toReversed())) {
    const next = Symbol('next group')
    const everything = group.devices.some(({ type, major, minor }) => type === 'a' && major < 0 && minor < 0)
    if (!everything) {
      const hit = Symbol('hit')
      match(program, group, hit, next)
      program.place(hit)
    }
    judge(program, group, next)
    // The verifier refuses instructions that can't be reached, so nothing may follow what always decides.
    if (everything && group.bits === ALL_ACCESS) return program.encode()
    program.place(next)
  }
  program.decide(false)
  return program.encode()
}
