/** `ready` to the conditions that `run()` waits for. Pure. */
import { faultFinder, show, type Fault, under } from '../schema/faults.js'
import { nearestName } from '../schema/nearest-name.js'
import type { ReadyCondition } from './normalized-options.js'
import type { ContainerOptions } from './options.js'
import { optionKeywords, readySchemas } from './options-schema.js'
import { parseDuration } from '../schema/quantities.js'

/** The order matters: an http check has a port too. */
const kinds = ['http', 'log', 'command', 'port', 'healthy'] as const
type Kind = (typeof kinds)[number]

const findFaults: Readonly<Record<Kind, (value: unknown) => Fault[]>> = {
  http: faultFinder(readySchemas.http, optionKeywords),
  log: faultFinder(readySchemas.log, optionKeywords),
  command: faultFinder(readySchemas.command, optionKeywords),
  port: faultFinder(readySchemas.port, optionKeywords),
  healthy: faultFinder(readySchemas.healthy, optionKeywords),
}

const defaultTimeout = 60_000

export function parseReady(ready: ContainerOptions['ready'], faults: Fault[]): ReadyCondition[] {
  if (ready === undefined) return []
  const list: readonly unknown[] = Array.isArray(ready) ? ready : [ready]
  return list.flatMap((one, index) => {
    const at = Array.isArray(ready) ? `ready[${String(index)}]` : 'ready'
    const condition = parseOne(one, at, faults)
    return condition === undefined ? [] : [condition]
  })
}

function parseOne(value: unknown, at: string, faults: Fault[]): ReadyCondition | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    faults.push({ path: at, message: `must be an object such as { port: 80 }, got ${show(value)}` })
    return undefined
  }
  const given = Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined))
  const kind = kinds.find((name) => name in given)
  if (kind === undefined) {
    const near = Object.keys(given).flatMap((key) => nearestName(key, kinds) ?? [])[0]
    const hint = near === undefined ? '' : `; did you mean ${near}?`
    faults.push({ path: at, message: `must have one of port, http, log, command, healthy; got ${show(given)}${hint}` })
    return undefined
  }
  const wrong = findFaults[kind](given)
  faults.push(...wrong.map((fault) => under(at, fault)))
  return wrong.length > 0 ? undefined : condition(kind, given)
}

function condition(kind: Kind, given: Record<string, unknown>): ReadyCondition {
  const timeout = parseDuration(given['timeout'] ?? defaultTimeout) ?? defaultTimeout
  switch (kind) {
    case 'http':
      return {
        kind,
        path: given['http'] as string,
        port: given['port'] as number,
        status: given['status'] as number | undefined,
        timeout,
      }
    case 'port':
      return { kind, port: given['port'] as number, timeout }
    case 'log':
      return { kind, pattern: logPattern(given['log'] as RegExp | string), timeout }
    case 'healthy':
      return { kind, timeout }
    case 'command':
      return { kind, command: given['command'] as readonly string[], timeout }
  }
}

/** A string is looked for as it is. `g` and `y` make a pattern remember where it was, which would skip lines. */
function logPattern(pattern: RegExp | string): RegExp {
  if (typeof pattern === 'string') return new RegExp(pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''))
}
