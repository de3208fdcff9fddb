import { constants } from 'node:os'

const names = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]))
// Some have two spellings in Node's table; the manual's main ones are these.
names.set(constants.signals.SIGABRT, 'SIGABRT')
names.set(constants.signals.SIGIO, 'SIGIO')
names.set(constants.signals.SIGCHLD, 'SIGCHLD')

/** `'SIGKILL'` for 9; `'SIG40'` for a number without a name. */
export function signalName(number: number): string {
  return names.get(number) ?? `SIG${String(number)}`
}
