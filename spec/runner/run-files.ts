import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { marker } from './leftovers.js'
import { indent, readResults, type Results } from './report.js'

/** A program whose stdout is TAP. */
export interface TestFile {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** It changes what holds for all of the machine: it is run after all others. @default false */
  readonly alone?: boolean
}

/** Journeys start real containers: more at once only makes each of them slower. */
const jobs = 2

/** What test files said, and which of them are not to be relied on. */
export interface Outcome extends Results {
  /** Names of files that failed beside others, and then passed alone. */
  readonly unsteady: string[]
}

/**
 * Run test files, two at a time, and print a line for each with its failures. They are run by Node itself and not by
 * tap's command: that one puts loaders of its own into the NODE_OPTIONS of every process that a test starts, also of
 * those in a container, where the loaders' files are not.
 * @param timeout seconds for one file; what takes longer hangs
 * @param chances if no more files than these fail, they are run once more, each alone. A machine that others use too can
 * be too slow for a test at one moment; but whatever passes then is told as unsteady, as a race is found no other way
 */
export async function runFiles(
  files: readonly TestFile[],
  directory: string,
  timeout: number,
  chances: number,
): Promise<Outcome> {
  const ran = new Map<TestFile, Results>()
  const work = async (waiting: TestFile[]): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const startedAt = Date.now()
      const results = await runFile(file, directory, timeout)
      print(file, results, Date.now() - startedAt)
      ran.set(file, results)
    }
  }
  const together = files.filter(({ alone }) => alone !== true)
  await Promise.all(Array.from({ length: jobs }, () => work(together)))
  await work(files.filter(({ alone }) => alone === true))
  const failing = files.filter((file) => hasFailed(ran.get(file)))
  if (failing.length <= chances) await work([...failing])
  const results = [...ran.values()]
  return {
    passed: results.reduce((sum, { passed }) => sum + passed, 0),
    failed: results.flatMap(({ failed }) => failed),
    skipped: results.flatMap(({ skipped }) => skipped),
    unsteady: failing.filter((file) => !hasFailed(ran.get(file))).map(({ name }) => name),
  }
}

function hasFailed(results: Results | undefined): boolean {
  return (results?.failed.length ?? 0) > 0
}

async function runFile({ name, command, args }: TestFile, directory: string, timeout: number): Promise<Results> {
  const env = { ...process.env, TAP: '1', TAP_TIMEOUT: String(timeout), ...marker }
  const child = spawn(command, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] })
  // tap's own limit comes first and tells which test it was; this one is for what blocks tap itself.
  const limit = setTimeout(() => child.kill('SIGKILL'), (timeout + 10) * 1000)
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const results = await readResults(child.stdout, name)
  const [exitCode, signal] = await ended
  clearTimeout(limit)
  if (child.killed) results.failed.push({ name, details: `ended by force after ${String(timeout)} seconds` })
  else if (signal !== null) results.failed.push({ name, details: `ended with ${signal}` })
  else if (exitCode !== 0 && results.failed.length === 0) {
    results.failed.push({ name, details: `all passed, but its exit code is ${String(exitCode)}` })
  }
  return results
}

function print(file: TestFile, { passed, failed, skipped }: Results, milliseconds: number): void {
  for (const { name, details } of failed) console.log(`not ok: ${name}\n${indent(details)}`)
  const counts = [`${String(passed)} passed`]
  if (failed.length > 0) counts.push(`${String(failed.length)} failed`)
  if (skipped.length > 0) counts.push(`${String(skipped.length)} skipped`)
  console.log(
    `${failed.length === 0 ? 'ok' : 'not ok'} ${file.name} (${counts.join(', ')}, ${String(milliseconds)} ms)`,
  )
}
