/** A machine for classic BPF as seccomp uses it: what the kernel would say to one system call. Pure. */

export interface SystemCall {
  readonly number: number
  readonly arch: number
  readonly args?: readonly bigint[]
}

export interface Outcome {
  /** SECCOMP_RET_*, with its data. */
  readonly value: number
  /** How many instructions ran. */
  readonly steps: number
}

/** Run a filter (`struct sock_filter[]`, little-endian). Throws where the kernel would not load it. */
export function runFilter(filter: Uint8Array, { number, arch, args = [] }: SystemCall): Outcome {
  const data = new DataView(new ArrayBuffer(64))
  data.setUint32(0, number, true)
  data.setUint32(4, arch, true)
  for (let index = 0; index < 6; index++) data.setBigUint64(16 + index * 8, args[index] ?? 0n, true)
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  let a = 0
  let steps = 0
  for (let at = 0; at < program.byteLength / 8; at++) {
    steps++
    const code = program.getUint16(at * 8, true)
    const [yes, no] = [program.getUint8(at * 8 + 2), program.getUint8(at * 8 + 3)]
    const k = program.getUint32(at * 8 + 4, true)
    switch (code) {
      case 0x20:
        if (k % 4 !== 0) throw new Error(`load of ${String(k)}, which is not aligned`)
        a = data.getUint32(k, true)
        break
      case 0x54:
        a = (a & k) >>> 0
        break
      case 0x05:
        at += k
        break
      case 0x15:
        at += a === k ? yes : no
        break
      case 0x25:
        at += a > k ? yes : no
        break
      case 0x35:
        at += a >= k ? yes : no
        break
      case 0x45:
        at += (a & k) === 0 ? no : yes
        break
      case 0x06:
        return { value: k, steps }
      default:
        throw new Error(`instruction ${String(at)}: unknown code 0x${code.toString(16)}`)
    }
  }
  throw new Error('ran off the end')
}

/** What the kernel checks before it takes a filter (bpf_check_classic): jumps stay inside, the last one returns. */
export function checkFilter(filter: Uint8Array): void {
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  const length = program.byteLength / 8
  if (!Number.isInteger(length) || length < 1 || length > 4096) throw new Error(`${String(length)} instructions`)
  for (let at = 0; at < length; at++) {
    const code = program.getUint16(at * 8, true)
    const k = program.getUint32(at * 8 + 4, true)
    const reach = code === 0x05 ? k : Math.max(program.getUint8(at * 8 + 2), program.getUint8(at * 8 + 3))
    const isJump = (code & 7) === 5
    if (isJump && at + 1 + reach >= length) throw new Error(`instruction ${String(at)} jumps past the end`)
  }
  if (program.getUint16((length - 1) * 8, true) !== 0x06) throw new Error('the last instruction does not return')
}
