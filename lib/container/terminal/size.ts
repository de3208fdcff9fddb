import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'
import { checkKnown } from '../../schema/known-options.js'

/** The size of a terminal in characters, each from 1 to 65535. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** The kernel's word for a size that nobody has told (`struct winsize`, ioctl_tty(2)). */
export const unknownSize: TerminalSize = { columns: 0, rows: 0 }

const most = 65535
const length = { type: 'integer', minimum: 1, maximum: most }

/** The shape of one, for the schema of options. */
export const terminalSize = {
  member: 'property of a terminal size',
  additionalProperties: false,
  required: ['columns', 'rows'],
  properties: { columns: length, rows: length },
} as const

/** @throws PodlingError `INVALID_OPTION` */
export function checkTerminalSize(what: string, size: TerminalSize): void {
  if (typeof size !== 'object' || (size as unknown) === null) {
    throw new PodlingError('INVALID_OPTION', `${what}: must be { columns, rows }, got ${show(size)}`)
  }
  checkKnown(what, size, { columns: true, rows: true })
  const wrong = (['columns', 'rows'] as const).filter((name) => {
    const value: unknown = size[name]
    return !(Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most)
  })
  if (wrong.length === 0) return
  const faults = wrong.map((name) => `${name}: must be 1..${String(most)}, got ${show(size[name])}`)
  throw new PodlingError('INVALID_OPTION', `${what}: ${faults.join('; ')}`)
}

/** What a `tty` option says. @throws PodlingError `INVALID_OPTION` */
export function terminalSizeOf(tty: boolean | TerminalSize | undefined): TerminalSize | undefined {
  if (tty === undefined || tty === false) return undefined
  if (tty === true) return unknownSize
  checkTerminalSize('tty', tty)
  return tty
}
