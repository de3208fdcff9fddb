import { Parser, type FinalResults, type Result } from 'tap-parser'
import { type Readable } from 'node:stream'

/** What became of the assertions of one or more TAP streams. */
export interface Tally {
  passed: number
  failed: number
  /** Skipped, or still to do. */
  readonly skipped: { readonly name: string; readonly reason: string }[]
  /** Set when a stream itself is broken, such as a plan that was not kept. */
  broken: boolean
}

export function emptyTally(): Tally {
  return { passed: 0, failed: 0, skipped: [], broken: false }
}

/**
 * Read a TAP stream and print a line for each of its top-level tests, and each failure with its diagnostics as it comes.
 * Only leaves are counted: a subtest's own line repeats what is inside it.
 */
export async function report(tap: Readable, tally: Tally, print: (line: string) => void): Promise<void> {
  const parser = new Parser()
  parser.on('complete', (results: FinalResults) => {
    if (!results.ok) tally.broken = true
  })
  parser.on('bailout', (reason: string) => {
    print(`Bail out! ${reason}`)
  })
  follow(parser, [], tally, print)
  for await (const chunk of tap) parser.write(chunk as Buffer)
  parser.end()
}

function follow(parser: Parser, path: readonly string[], tally: Tally, print: (line: string) => void): void {
  let before = { ...tally, skipped: [...tally.skipped] }
  parser.on('child', (child: Parser) => {
    follow(child, [...path, child.name], tally, print)
  })
  parser.on('assert', (result: Result) => {
    const skip = result.skip || result.todo
    if (!result.closingTestPoint) count(result, path, tally, print)
    // A subtest that failed though all inside it passed: it timed out, died or broke its plan.
    else if (!result.ok && skip === false && tally.failed === before.failed) count(result, path, tally, print)
    if (path.length === 0) print(lineFor(result, tally, before))
    before = { ...tally, skipped: [...tally.skipped] }
  })
}

function count(result: Result, path: readonly string[], tally: Tally, print: (line: string) => void): void {
  const reason = result.skip || result.todo
  const name = [...path, result.name].map(source).join(' > ')
  if (reason !== false) tally.skipped.push({ name, reason: reason === true ? 'no reason given' : reason })
  else if (result.ok) tally.passed += 1
  else {
    tally.failed += 1
    print(`not ok: ${name}`)
    print(indent(details(result.diag)))
  }
}

function lineFor(result: Result, now: Tally, before: Tally): string {
  const skipped = now.skipped.length - before.skipped.length
  const counts = [`${String(now.passed - before.passed)} passed`]
  if (now.failed > before.failed) counts.push(`${String(now.failed - before.failed)} failed`)
  if (skipped > 0) counts.push(`${String(skipped)} skipped`)
  const time = result.time === null ? '' : `, ${String(Math.round(result.time))} ms`
  return `${result.ok ? 'ok' : 'not ok'} ${source(result.name)} (${counts.join(', ')}${time})`
}

/** tap names a file as it was compiled; people know it as it was written. */
function source(name: string): string {
  return name.replace(/^\.build\/(.*\.spec)\.js$/, '$1.ts')
}

/** The diagnostics of a failure, one a line; texts of many lines as they are. */
function details(diagnostics: unknown): string {
  if (typeof diagnostics !== 'object' || diagnostics === null) return ''
  return Object.entries(diagnostics)
    .filter(([key]) => key !== 'at' && key !== 'args')
    .map(([key, value]: [string, unknown]) => {
      if (typeof value !== 'string') return `${key}: ${JSON.stringify(value)}`
      return value.includes('\n') ? `${key}:\n${indent(value.trimEnd())}` : `${key}: ${value}`
    })
    .join('\n')
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ')
}
