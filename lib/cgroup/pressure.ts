/** Pressure stall information (kernel docs: accounting/psi.rst): how much of the time processes had to wait. Pure. */

/** Of one resource. */
export interface PressureStall {
  /** At least one process waited. */
  readonly some: PressureTimes
  /** All processes waited that were not idle. Absent where the kernel doesn't tell. */
  readonly full?: PressureTimes
}

export interface PressureTimes {
  /** Percent of the last 10, 60 and 300 seconds. */
  readonly average10: number
  readonly average60: number
  readonly average300: number
  /** Nanoseconds, since the start. */
  readonly total: number
}

export interface Pressure {
  readonly cpu: PressureStall
  readonly memory: PressureStall
  readonly io: PressureStall
}

const line = /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm

/** @returns undefined for what isn't of that form */
export function parsePressure(text: string): PressureStall | undefined {
  const stalls: { some?: PressureTimes; full?: PressureTimes } = {}
  for (const [, kind, average10, average60, average300, total] of text.matchAll(line)) {
    stalls[kind as 'some' | 'full'] = {
      average10: Number(average10),
      average60: Number(average60),
      average300: Number(average300),
      total: Number(total) * 1000,
    }
  }
  const { some, full } = stalls
  return some === undefined ? undefined : { some, ...(full === undefined ? {} : { full }) }
}
