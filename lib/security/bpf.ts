/**
 * Classic BPF: programs as graphs of steps, and their assembly (linux/filter.h, bpf in seccomp(2)). Pure.
 *
 * A jump goes forward only, at most 255 instructions when it is conditional. The assembler therefore writes a program
 * from its end to its start: when a step is written all its targets stand already, and their distances are known.
 */

/** A step. Steps that are the same object, or have the same `key`, are written once where jumps can reach them. */
export type Step =
  | { readonly kind: 'return'; readonly value: number }
  /** Load 32 bits of struct seccomp_data. */
  | { readonly kind: 'load'; readonly offset: number; readonly next: Step }
  /** Mask what was loaded. */
  | { readonly kind: 'and'; readonly mask: number; readonly next: Step }
  | {
      readonly kind: 'jump'
      readonly test: 'eq' | 'gt' | 'ge'
      readonly value: number
      readonly yes: Step
      readonly no: Step
    }

const LD_W_ABS = 0x20
const RET_K = 0x06
const AND_K = 0x54
const JA = 0x05
const tests = { eq: 0x15, gt: 0x25, ge: 0x35 } as const

/** The most instructions that the kernel takes (BPF_MAXINSNS). */
export const maxInstructions = 4096

/** The program as `struct sock_filter[]`, little-endian, as both architectures of Podling are. */
export function assemble(start: Step): Uint8Array {
  return new Assembler().program(start)
}

interface Instruction {
  readonly code: number
  readonly yes: number
  readonly no: number
  readonly k: number
}

class Assembler {
  /** The last instruction first. */
  readonly #reversed: Instruction[] = []
  /** For each step that is written, how many instructions stand from it to the end. */
  readonly #places = new Map<Step, number>()
  readonly #returns = new Map<number, number>()

  program(start: Step): Uint8Array {
    const place = this.#write(start)
    if (place !== this.#reversed.length) this.#jumpAlways(place)
    const bytes = new Uint8Array(this.#reversed.length * 8)
    const view = new DataView(bytes.buffer)
    for (const [index, { code, yes, no, k }] of this.#reversed.reverse().entries()) {
      view.setUint16(index * 8, code, true)
      view.setUint8(index * 8 + 2, yes)
      view.setUint8(index * 8 + 3, no)
      view.setUint32(index * 8 + 4, k, true)
    }
    return bytes
  }

  /** Write a step and all that follows it, and say where it stands. */
  #write(step: Step): number {
    const known = step.kind === 'return' ? this.#returns.get(step.value) : this.#places.get(step)
    if (known !== undefined) return known
    switch (step.kind) {
      case 'return':
        return this.#put(step, { code: RET_K, yes: 0, no: 0, k: step.value })
      case 'load':
        this.#follow(this.#write(step.next))
        return this.#put(step, { code: LD_W_ABS, yes: 0, no: 0, k: step.offset })
      case 'and':
        this.#follow(this.#write(step.next))
        return this.#put(step, { code: AND_K, yes: 0, no: 0, k: step.mask })
      case 'jump': {
        // The branch that is written last stands next to the jump.
        this.#write(step.no)
        this.#write(step.yes)
        return this.#writeJump(step)
      }
    }
  }

  #writeJump(step: Step & { kind: 'jump' }): number {
    // Bringing one branch near adds an instruction, which can take the other out of reach; so until both are.
    let yes: number
    let no: number
    do {
      yes = this.#near(step.yes)
      no = this.#near(step.no)
    } while (this.#distance(yes) > 255 || this.#distance(no) > 255)
    return this.#put(step, { code: tests[step.test], yes: this.#distance(yes), no: this.#distance(no), k: step.value })
  }

  /** A place from which the step is reached, near enough for a conditional jump. */
  #near(step: Step): number {
    const place = this.#write(step)
    if (this.#distance(place) <= 255) return place
    // A return is as short as the jump to one.
    if (step.kind === 'return') return this.#put(step, { code: RET_K, yes: 0, no: 0, k: step.value })
    // All that is written from now on is farther still, so the jump takes the step's place.
    const bridge = this.#jumpAlways(place)
    this.#places.set(step, bridge)
    return bridge
  }

  /** Make the step at this place the very next one. */
  #follow(place: number): void {
    if (place !== this.#reversed.length) this.#jumpAlways(place)
  }

  #jumpAlways(place: number): number {
    this.#reversed.push({ code: JA, yes: 0, no: 0, k: this.#distance(place) })
    return this.#reversed.length
  }

  /** How many instructions a jump that is written now has to skip. */
  #distance(place: number): number {
    return this.#reversed.length - place
  }

  #put(step: Step, instruction: Instruction): number {
    this.#reversed.push(instruction)
    const place = this.#reversed.length
    if (step.kind === 'return') this.#returns.set(step.value, place)
    else this.#places.set(step, place)
    return place
  }
}
