/**
 * The benchmark: `npm run bench [-- WORD... --runs N --out FILE]`.
 *
 * Words pick trials (start, rootless, pasta, bridge, exec, oci, cold, attach, stats, loop, many, published, parallel, pod, pull, create, storage, restore, stream, logs, traffic, events, adopt, seccomp, userns) and subjects (floor, podling, crun, runc, bwrap, podman, libseccomp);
 * without words everything runs, in a network namespace of its own that stands for the host. The table goes to stdout, and to a file with --out; what is going on goes to stderr.
 */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'
import { parseArgs, promisify } from 'node:util'
import { givenArguments, inOwnNetwork } from '../fixtures/own-network.js'
import { markdown, type Row } from './table.js'
import { adopt } from './trial-adopt.js'
import { attach } from './trial-attach.js'
import { bridge } from './trial-bridge.js'
import { cold } from './trial-cold.js'
import { create, storage } from './trial-create.js'
import { events } from './trial-events.js'
import { exec } from './trial-exec.js'
import { logs } from './trial-logs.js'
import { loop } from './trial-loop.js'
import { many } from './trial-many.js'
import { oci } from './trial-oci.js'
import { parallel } from './trial-parallel.js'
import { pasta } from './trial-pasta.js'
import { pod } from './trial-pod.js'
import { published } from './trial-published.js'
import { pull } from './trial-pull.js'
import { restore } from './trial-restore.js'
import { rootless } from './trial-rootless.js'
import { seccomp } from './trial-seccomp.js'
import { start } from './trial-start.js'
import { stats } from './trial-stats.js'
import { stream } from './trial-stream.js'
import { traffic } from './trial-traffic.js'
import { userns } from './trial-userns.js'
import type { Context, Trial } from './trial.js'
import { Workspace } from './workspace.js'

const run = promisify(execFile)
const TRIALS: readonly Trial[] = [
  start,
  rootless,
  pasta,
  bridge,
  exec,
  oci,
  cold,
  attach,
  stats,
  loop,
  many,
  published,
  parallel,
  pod,
  pull,
  create,
  storage,
  restore,
  stream,
  logs,
  traffic,
  events,
  adopt,
  seccomp,
  userns,
]
const SUBJECTS: ReadonlySet<string> = new Set(['floor', 'podling', 'crun', 'runc', 'bwrap', 'podman', 'libseccomp'])

interface Choice {
  readonly trials: readonly Trial[]
  readonly wants: (subject: string) => boolean
}

/** @throws Error for a word that names nothing. */
function choose(words: readonly string[]): Choice {
  const names = new Set(TRIALS.map(({ name }) => name))
  const unknown = words.filter((word) => !names.has(word) && !SUBJECTS.has(word))
  if (unknown.length > 0) {
    throw new Error(`${unknown.join(', ')}: no trial (${[...names].join(' ')}) or subject (${[...SUBJECTS].join(' ')})`)
  }
  const subjects = words.filter((word) => SUBJECTS.has(word))
  const wants = (subject: string): boolean => subjects.length === 0 || subjects.includes(subject)
  const named = TRIALS.filter(({ name }) => words.includes(name))
  const fitting = TRIALS.filter(({ own }) => !own || wants('podling'))
  // A subject alone, such as `crun`, picks the trial that compares all of them.
  const peersOnly = subjects.length > 0 && !wants('podling')
  return { trials: named.length > 0 ? named : peersOnly ? [start] : fitting, wants }
}

async function measure(choice: Choice, runs: number): Promise<Row[]> {
  const say = (text: string): void => {
    process.stderr.write(`${text}\n`)
  }
  const rows: Row[] = []
  await using workspace = await Workspace.make()
  // An interrupt ends the runs, not the process, so that everything is cleared away.
  const stop = new AbortController()
  process.once('SIGINT', () => {
    stop.abort(new Error('interrupted'))
  })
  const context: Context = { workspace, runs, wants: (subject) => choice.wants(subject), signal: stop.signal, say }
  for (const trial of choice.trials) {
    if (stop.signal.aborted) break
    say(`${trial.name}: ${trial.about}`)
    try {
      rows.push(...(await trial.run(context)))
    } catch (error) {
      say(`${trial.name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
      process.exitCode = 1
    }
  }
  return rows
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: givenArguments(),
    allowPositionals: true,
    options: { runs: { type: 'string', default: '100' }, out: { type: 'string' } },
  })
  await run('ip', ['link', 'set', 'lo', 'up'])
  const rows = await measure(choose(positionals), Number(values.runs))
  const [cpu] = cpus()
  const machine = `Linux ${release()}, ${String(cpus().length)} × ${cpu?.model.trim() ?? 'CPU'}, Node ${process.version}`
  const report = `${markdown(rows)}\n\n${machine}, ${new Date().toISOString().slice(0, 10)}\n`
  process.stdout.write(report)
  if (values.out !== undefined) await writeFile(values.out, report)
}

if (process.geteuid?.() !== 0) throw new Error('run the benchmark as root: the floor and the peers need it')
if (inOwnNetwork(import.meta.url, { mounts: true })) await main()
