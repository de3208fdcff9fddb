/** What a spec needs to know of the host and of this process. Read once; it doesn't change while a process lives. */
import { readFileSync } from 'node:fs'
import { hostname, release } from 'node:os'
import { capabilitiesOf } from '../security/capabilities.js'
import type { HostFacts } from './generate-spec.js'

export function readHostFacts(): HostFacts {
  return {
    arch: process.arch === 'arm64' ? 'arm64' : 'amd64',
    hostname: hostname(),
    kernel: release(),
    capabilities: capabilitiesOf(parseBoundingSet(readFileSync('/proc/self/status', 'utf8'))),
    limits: parseLimits(readFileSync('/proc/self/limits', 'utf8')),
  }
}

/** CapBnd of proc_pid_status(5). */
export function parseBoundingSet(status: string): bigint {
  const digits = /^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  return digits === undefined ? 0n : BigInt(`0x${digits}`)
}

/** The hard limits of proc_pid_limits(5). */
export function parseLimits(limits: string): { nofile?: number; nproc?: number } {
  const hard = (name: string): number | undefined => {
    const value = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, 'm').exec(limits)?.[1]
    return value === undefined ? undefined : value === 'unlimited' ? Infinity : Number(value)
  }
  const [nofile, nproc] = [hard('Max open files'), hard('Max processes')]
  return { ...(nofile === undefined ? {} : { nofile }), ...(nproc === undefined ? {} : { nproc }) }
}
