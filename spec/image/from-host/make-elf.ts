/** Makes small ELF files for specs, as data: nothing in them can run. */

export interface ElfShape {
  readonly bits?: 32 | 64
  readonly littleEndian?: boolean
  readonly machine?: number
  readonly interpreter?: string
  readonly soname?: string
  readonly needed?: readonly string[]
  readonly rpath?: string
  readonly runpath?: string
  readonly noDefaultLibraries?: boolean
}

/** One PT_LOAD over the whole file, at an address that differs from its offset, then PT_INTERP and PT_DYNAMIC. */
export function makeElf(shape: ElfShape): Buffer {
  const wide = (shape.bits ?? 64) === 64
  const little = shape.littleEndian ?? true
  const base = 0x400000
  const [headerSize, segmentSize, tagSize] = wide ? [64, 56, 16] : [52, 32, 8]
  const interpreter = Buffer.from(shape.interpreter === undefined ? '' : `${shape.interpreter}\0`)

  const strings: Buffer[] = [Buffer.from('\0')]
  const string = (text: string): number => {
    const offset = Buffer.concat(strings).length
    strings.push(Buffer.from(`${text}\0`))
    return offset
  }
  const tags: [number, number][] = (shape.needed ?? []).map((name) => [1, string(name)])
  if (shape.soname !== undefined) tags.push([14, string(shape.soname)])
  if (shape.rpath !== undefined) tags.push([15, string(shape.rpath)])
  if (shape.runpath !== undefined) tags.push([29, string(shape.runpath)])
  if (shape.noDefaultLibraries === true) tags.push([0x6ffffffb, 0x800])
  const table = Buffer.concat(strings)

  const segments = shape.interpreter === undefined ? 2 : 3
  const interpreterAt = headerSize + segments * segmentSize
  const dynamicAt = interpreterAt + interpreter.length
  const dynamicSize = (tags.length + 3) * tagSize
  const stringsAt = dynamicAt + dynamicSize
  tags.push([5, base + stringsAt], [10, table.length], [0, 0])

  const file = Buffer.alloc(stringsAt + table.length)
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const number = (at: number, value: number): number => {
    if (wide) view.setBigUint64(at, BigInt(value), little)
    else view.setUint32(at, value, little)
    return at + (wide ? 8 : 4)
  }
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1])
  view.setUint16(16, 3, little)
  view.setUint16(18, shape.machine ?? 62, little)
  view.setUint32(20, 1, little)
  number(wide ? 32 : 28, headerSize)
  view.setUint16(wide ? 54 : 42, segmentSize, little)
  view.setUint16(wide ? 56 : 44, segments, little)

  let segmentAt = headerSize
  const segment = (type: number, offset: number, size: number): void => {
    view.setUint32(segmentAt, type, little)
    let at = segmentAt + (wide ? 8 : 4)
    at = number(at, offset)
    at = number(at, base + offset)
    at = number(at, base + offset)
    number(at, size)
    segmentAt += segmentSize
  }
  segment(1, 0, file.length)
  if (shape.interpreter !== undefined) segment(3, interpreterAt, interpreter.length)
  segment(2, dynamicAt, dynamicSize)
  file.set(interpreter, interpreterAt)
  tags.forEach(([tag, value], index) => {
    number(number(dynamicAt + index * tagSize, tag), value)
  })
  file.set(table, stringsAt)
  return file
}
