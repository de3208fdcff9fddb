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
const JUMP_IF_NOT = 0x56 // BPF_JMP32 | BPF_JNE | BPF_K
const JUMP_IF = 0x16 // BPF_JMP32 | BPF_JEQ | BPF_K
const EXIT = 0x95 // BPF_JMP | BPF_EXIT

const RESULT = 0
const CONTEXT = 1
const TYPE = 2
const ACCESS = 3
const MAJOR = 4
const MINOR = 5

const BLOCK = 1 // BPF_DEVCG_DEV_BLOCK
const CHARACTER = 2 // BPF_DEVCG_DEV_CHAR
const ACCESS_BITS = { m: 1, r: 2, w: 4 } as const
const ALL_ACCESS = 7

interface Instruction {
  readonly code: number
  readonly to: number
  readonly from?: number
  readonly offset?: number
  readonly value?: number
}

function accessBits(access: string): number {
  let bits = 0
  for (const letter of access) {
    if (letter === 'm' || letter === 'r' || letter === 'w') bits |= ACCESS_BITS[letter]
  }
  return bits
}

function decide(allow: boolean): Instruction[] {
  return [
    { code: MOVE, to: RESULT, value: allow ? 1 : 0 },
    { code: EXIT, to: 0 },
  ]
}

/** The instructions of one rule. Unless it decides, control goes on behind them. `final`: it always decides. */
function ruleInstructions(rule: DeviceRule): { instructions: Instruction[]; final: boolean } {
  const bits = accessBits(rule.access ?? 'rwm')
  const body: Instruction[] = []
  if (bits === ALL_ACCESS) {
    body.push(...decide(rule.allow))
  } else if (rule.allow) {
    // Strike out what this rule grants; earlier rules may grant the rest. Nothing left: granted.
    body.push({ code: AND, to: ACCESS, value: ALL_ACCESS & ~bits })
    body.push({ code: JUMP_IF_NOT, to: ACCESS, value: 0, offset: 2 }, ...decide(true))
  } else {
    body.push({ code: COPY, to: RESULT, from: ACCESS }, { code: AND, to: RESULT, value: bits })
    body.push({ code: JUMP_IF, to: RESULT, value: 0, offset: 2 }, ...decide(false))
  }
  const tests: [register: number, value: number][] = []
  const type = rule.type ?? 'a'
  if (type !== 'a') tests.push([TYPE, type === 'b' ? BLOCK : CHARACTER])
  if (rule.major !== undefined && rule.major >= 0) tests.push([MAJOR, rule.major])
  if (rule.minor !== undefined && rule.minor >= 0) tests.push([MINOR, rule.minor])
  const guards = tests.map(([register, value], index) => ({
    code: JUMP_IF_NOT,
    to: register,
    value,
    offset: tests.length - 1 - index + body.length,
  }))
  return { instructions: [...guards, ...body], final: tests.length === 0 && bits === ALL_ACCESS }
}

function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(instructions.length * 8)
  instructions.forEach(({ code, to, from = 0, offset = 0, value = 0 }, index) => {
    bytes.writeUInt8(code, index * 8)
    bytes.writeUInt8((from << 4) | to, index * 8 + 1)
    bytes.writeInt16LE(offset, index * 8 + 2)
    bytes.writeInt32LE(value, index * 8 + 4)
  })
  return bytes
}

/**
 * Compile rules, of which later ones win, and what no rule speaks of is denied. Each of the three accesses is judged by
 * itself: opening for reading and writing passes when one rule grants the one and another the other.
 * @returns undefined when everything is allowed, since then no program is the fastest program.
 */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array | undefined {
  if (allowsEverything(rules)) return undefined
  const program: Instruction[] = [
    { code: LOAD_WORD, to: TYPE, from: CONTEXT, offset: 0 },
    { code: AND, to: TYPE, value: 0xffff },
    { code: LOAD_WORD, to: ACCESS, from: CONTEXT, offset: 0 },
    { code: SHIFT_RIGHT, to: ACCESS, value: 16 },
    { code: LOAD_WORD, to: MAJOR, from: CONTEXT, offset: 4 },
    { code: LOAD_WORD, to: MINOR, from: CONTEXT, offset: 8 },
  ]
  for (const rule of rules.toReversed()) {
    if (rule.type === 'p' || accessBits(rule.access ?? 'rwm') === 0) continue // fifos aren't devices to the kernel
    const { instructions, final } = ruleInstructions(rule)
    program.push(...instructions)
    // The verifier refuses instructions that can't be reached, so nothing may follow a rule that always decides.
    if (final) return encode(program)
  }
  return encode([...program, ...decide(false)])
}
