/** What a benchmark is made of. */
import type { Row } from './table.js'
import type { Workspace } from './workspace.js'

/** What every trial gets. */
export interface Context {
  readonly workspace: Workspace
  /** Runs of each subject, as far as it doesn't ask for fewer. */
  readonly runs: number
  /** Whether a subject is wanted by the words on the command line. */
  readonly wants: (subject: string) => boolean
  /** Aborted when the user wants to stop; trials look at it between runs. */
  readonly signal: AbortSignal
  /** Tell what is going on, on stderr. */
  readonly say: (text: string) => void
}

export interface Trial {
  /** The word that picks it. */
  readonly name: string
  readonly about: string
  /** Whether it measures Podling alone. */
  readonly own: boolean
  run(context: Context): Promise<Row[]>
}

/** One of several things that do the same work and are measured in turn. */
export interface Subject {
  readonly name: string
  /** Runs in all, where a slow subject should have fewer than the others. */
  readonly most?: number
  /** Run `count` times and give figures of the trial's unit, one or more a run by the name of its row. */
  sample(count: number): Promise<Readonly<Record<string, readonly number[]>>>
  readonly close?: () => Promise<void>
}

/** What makes the subjects of one name, such as `crun`. */
export type Maker = (context: Context) => Promise<readonly Subject[]>

/** Make the subjects that are wanted. One that can't be made is said and left out. */
export async function gather(context: Context, makers: Readonly<Record<string, Maker>>): Promise<Subject[]> {
  const subjects: Subject[] = []
  for (const [name, make] of Object.entries(makers)) {
    if (!context.wants(name)) continue
    try {
      subjects.push(...(await make(context)))
    } catch (error) {
      context.say(`${name} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return subjects
}

const ROUNDS = 10

/**
 * Measure subjects in turn: a few runs of each, ten times over or as often as is said, so that what else the machine does in the meantime
 * falls on all of them alike. One run of each goes ahead and isn't counted. A subject that fails is said and left out.
 */
export async function inTurn(
  context: Context,
  subjects: readonly Subject[],
  rounds = ROUNDS,
): Promise<Map<string, number[]>> {
  const samples = new Map<string, number[]>()
  const failed = new Set<Subject>()
  const attempt = async (subject: Subject, count: number, keep: boolean): Promise<void> => {
    context.signal.throwIfAborted()
    if (failed.has(subject) || count === 0) return
    try {
      for (const [row, values] of Object.entries(await subject.sample(count))) {
        if (keep) samples.set(row, [...(samples.get(row) ?? []), ...values])
      }
    } catch (error) {
      failed.add(subject)
      context.say(`${subject.name} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  try {
    for (const subject of subjects) await attempt(subject, 1, false)
    for (let round = 0; round < rounds; round++) {
      context.say(`round ${String(round + 1)} of ${String(rounds)}`)
      for (let turn = 0; turn < subjects.length; turn++) {
        const subject = subjects[(turn + round) % subjects.length]
        if (subject === undefined) continue
        const runs = Math.min(context.runs, subject.most ?? context.runs)
        await attempt(subject, Math.ceil(runs / rounds), true)
      }
    }
  } finally {
    for (const subject of subjects) await subject.close?.()
  }
  return samples
}
