import { Parser, type FinalResults, type Result } from 'tap-parser'
import { type Readable } from 'node:stream'

/** What became of the assertions of a TAP stream. */
export interface Results {
  passed: number
  readonly failed: { readonly name: string; readonly details: string }[]
  /** Skipped, or still to do. */
  readonly skipped: { readonly name: string; readonly reason: string }[]
}

/**
 * Read a TAP stream to its end. Only leaves are counted: a subtest's own line repeats what is inside it. A stream that
 * is broken without a failed assertion, such as one that ends before its plan is kept, counts as one failure.
 * @param name What the names of its tests begin with.
 */
export async function readResults(tap: Readable, name: string): Promise<Results> {
  const results: Results = { passed: 0, failed: [], skipped: [] }
  const parser = new Parser()
  const told = new Set<string>()
  for (const event of ['plan', 'assert']) parser.on(event, () => told.add(event))
  parser.on('complete', ({ ok, failures, bailout }: FinalResults) => {
    if (ok || results.failed.length > 0) return
    results.failed.push({ name, details: details(bailout === false ? { failures } : { bailout }) })
  })
  follow(parser, [name], results)
  for await (const chunk of tap) parser.write(chunk as Buffer)
  // At its end the parser makes up a plan for a stream that has none.
  const silent = told.size === 0
  parser.end()
  if (silent && results.failed.length === 0) results.failed.push({ name, details: 'no tests' })
  return results
}

function follow(parser: Parser, path: readonly string[], results: Results): void {
  let failedBefore = 0
  parser.on('child', (child: Parser) => {
    follow(child, [...path, child.name], results)
  })
  parser.on('assert', (result: Result) => {
    // A subtest counts itself only when it failed though all inside it passed: it timed out or broke its plan.
    const itself = !result.closingTestPoint || (!result.ok && results.failed.length === failedBefore)
    if (itself) count(result, [...path, result.name].join(' > '), results)
    failedBefore = results.failed.length
  })
}

function count(result: Result, name: string, results: Results): void {
  const reason = result.skip || result.todo
  if (reason !== false) results.skipped.push({ name, reason: reason === true ? 'no reason given' : reason })
  else if (result.ok) results.passed += 1
  else results.failed.push({ name, details: details(result.diag) })
}

/** The diagnostics of a failure, one a line; texts of many lines as they are. */
function details(diagnostics: unknown): string {
  if (typeof diagnostics !== 'object' || diagnostics === null) return ''
  return Object.entries(diagnostics)
    .filter(([key]) => key !== 'at')
    .map(([key, value]: [string, unknown]) => {
      if (typeof value !== 'string') return `${key}: ${JSON.stringify(value)}`
      return value.includes('\n') ? `${key}:\n${indent(value.trimEnd())}` : `${key}: ${value}`
    })
    .join('\n')
}

export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '    ')
}
