/** A health check in a unit file. Pure. */
import { parseDuration, type Duration } from '../../schema/quantities.js'
import type { HealthOption } from '../health/options.js'
import { omit, type Entry, type Section } from './entry.js'

/** As Go writes a duration. */
const time = (duration: Duration): string => `${String(Math.ceil(parseDuration(duration) ?? 0))}ms`

export function healthEntries(health: HealthOption | 'none' | false, section: Section): Entry[] {
  if (health === false || health === 'none') return [section.line('HealthCmd', 'health-cmd', 'none')]
  const { command, tcp, http, interval, timeout, retries, startPeriod, startInterval, onFailure } = health
  const probe = tcp ?? http
  if (probe !== undefined) {
    return [omit(`health: Podman can't check a port by itself; give a command that does, instead of ${String(probe)}`)]
  }
  return [
    ...(command === undefined ? [] : [section.line('HealthCmd', 'health-cmd', commandText(command))]),
    ...(interval === undefined ? [] : [section.line('HealthInterval', 'health-interval', time(interval))]),
    ...(timeout === undefined ? [] : [section.line('HealthTimeout', 'health-timeout', time(timeout))]),
    ...(retries === undefined ? [] : [section.line('HealthRetries', 'health-retries', String(retries))]),
    ...(startPeriod === undefined ? [] : [section.line('HealthStartPeriod', 'health-start-period', time(startPeriod))]),
    ...(startInterval === undefined ? [] : [omit('health.startInterval: Podman checks at one interval')]),
    ...(onFailure === undefined ? [] : [section.line('HealthOnFailure', 'health-on-failure', onFailure)]),
  ]
}

/** Podman takes a list for what it is, and a text that looks like one for that. */
function commandText(command: readonly string[] | string): string {
  if (typeof command !== 'string') return JSON.stringify(command)
  return command.startsWith('[') || command === 'none' ? JSON.stringify(['/bin/sh', '-c', command]) : command
}
