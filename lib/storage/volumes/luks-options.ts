/** What a volume of LUKS may be told. Pure. */
import type { Fault } from '../../schema/faults.js'
import { show } from '../../schema/faults.js'
import { parseSize, sizeWords } from '../../schema/quantities.js'

const MiB = 1024 * 1024

/** Bytes. */
export const defaultLuksSize = 1024 * MiB

/** LUKS2 takes 16 MiB for itself, and ext4 needs room for its own. */
const smallest = 32 * MiB

export function luksFaults(options: Readonly<Record<string, string>>): Fault[] {
  const others = Object.keys(options).filter((key) => key !== 'size')
  const faults = others.map((key) => ({ path: `options.${key}`, message: "encryption: 'luks' has only size" }))
  const { size } = options
  if (size === undefined) return faults
  const bytes = parseSize(size)
  if (bytes === undefined || bytes < smallest)
    faults.push({ path: 'options.size', message: `must be ${sizeWords}, at least 32m, got ${show(size)}` })
  return faults
}
