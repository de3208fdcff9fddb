import { constants } from 'node:os'
import { PodlingError } from '../errors.js'

/** A signal by number (1 to 64) or by name, with or without `SIG`: `'TERM'`, `'SIGTERM'`, `'SIGRTMIN+3'` (signal(7)). */
export type Signal = number | string

const SIGRTMIN = 34
const SIGRTMAX = 64

/** @throws PodlingError `INVALID_OPTION` for what is no signal. */
export function signalNumber(signal: Signal): number {
  const number = typeof signal === 'number' ? signal : parse(signal.trim().toUpperCase())
  if (number !== undefined && Number.isInteger(number) && number >= 1 && number <= SIGRTMAX) return number
  throw new PodlingError(
    'INVALID_OPTION',
    `signal: ${JSON.stringify(signal)} is not a signal; give a number from 1 to ${String(SIGRTMAX)} or a name such as 'SIGTERM'`,
  )
}

function parse(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text)
  const name = text.startsWith('SIG') ? text : `SIG${text}`
  const realtime = /^SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name)
  if (realtime !== null) {
    const base = realtime[1] === 'MIN' ? SIGRTMIN : SIGRTMAX
    const offset = Number(realtime[3] ?? 0)
    const number = realtime[2] === '-' ? base - offset : base + offset
    return number >= SIGRTMIN ? number : undefined
  }
  return (constants.signals as Record<string, number | undefined>)[name]
}
