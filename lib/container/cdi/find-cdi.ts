/** Devices by their qualified names, from the files of a machine. */
import { readdirSync, readFileSync } from 'node:fs'
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { nearestName } from '../../schema/nearest-name.js'
import { parseCdiSpec, type CdiEdits } from './cdi-spec.js'

/** Those that vendors' packages fill, and those that programs write when they find a device; the latter are stronger. */
export const defaultCdiDirectories = ['/etc/cdi', '/var/run/cdi']

/**
 * What the devices of these names need, and what all of their kind do, once for each file.
 * @param directories the later the stronger
 * @throws PodlingError `DEVICE_NOT_FOUND` for names in no file or in two of one directory, `CDI_INVALID`
 */
export function findCdiDevices(names: readonly string[], directories: readonly string[]): CdiEdits[] {
  if (names.length === 0) return []
  const known = readDirectories(directories, new Set(names.map(kindOf)))
  const missing = names.flatMap((name) => {
    const found = known.get(name)
    if (found === undefined) {
      const near = nearestName(name, [...known.keys()])
      return [`${show(name)} is in none of their files${near === undefined ? '' : ` (did you mean ${near}?)`}`]
    }
    return found.also === undefined ? [] : [`${show(name)} is both in ${found.file} and in ${found.also}`]
  })
  if (missing.length > 0) {
    throw new PodlingError('DEVICE_NOT_FOUND', `devices: ${missing.join('; ')}; looked in ${directories.join(', ')}`)
  }
  const found = [...new Set(names)].flatMap((name) => known.get(name) ?? [])
  const common = new Map(found.flatMap(({ file, common }) => (common === undefined ? [] : [[file, common]])))
  return [...common.values(), ...found.map(({ edits }) => edits)]
}

interface Known {
  readonly file: string
  readonly edits: CdiEdits
  readonly common: CdiEdits | undefined
  /** Another file of the same directory that has it, too. */
  readonly also?: string
}

/** Files of other kinds may be as wrong as they like: nobody asked for them. */
function readDirectories(directories: readonly string[], kinds: ReadonlySet<string>): Map<string, Known> {
  const known = new Map<string, Known>()
  for (const directory of directories) {
    const here = new Map<string, Known>()
    for (const file of filesIn(directory)) {
      const content = readFileSync(file, 'utf8')
      if (![...kinds].some((kind) => content.includes(kind))) continue
      const { kind, devices, containerEdits } = parseCdiSpec(content, file)
      for (const device of devices) {
        const name = `${kind}=${device.name}`
        const other = here.get(name)
        const entry = { file, edits: device.containerEdits, common: containerEdits }
        here.set(name, other === undefined ? entry : { ...other, also: file })
      }
    }
    for (const [name, entry] of here) known.set(name, entry)
  }
  return known
}

function kindOf(name: string): string {
  return name.slice(0, name.indexOf('='))
}

function filesIn(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => /\.(json|yaml)$/.test(name))
    return names.sort().map((name) => `${directory}/${name}`)
  } catch {
    return [] // Most machines have none.
  }
}
