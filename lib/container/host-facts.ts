/** What a spec needs to know of the host and of this process. Read once; it doesn't change while a process lives. */
import { readFileSync } from 'node:fs'
import { hostname, release } from 'node:os'
import { landlockAbi } from '../sys/system-calls.js'
import { capabilitiesOf } from '../security/capabilities.js'
import { unlimited } from '../launch/rlimits.js'
import type { SpecRlimit } from '../launch/oci-spec.js'
import type { HostFacts } from './generate-spec.js'
import { machine } from '../security/seccomp-profile.js'
import { readSelinuxPolicy } from '../security/selinux-machine.js'

export function readHostFacts(): HostFacts {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const selinux = readSelinuxPolicy()
  return {
    arch: machine,
    hostname: hostname(),
    kernel: release(),
    capabilities: capabilitiesOf(parseBoundingSet(readFileSync('/proc/self/status', 'utf8'))),
    limits: parseLimits(limits),
    rlimits: parseRlimits(limits),
    landlock: landlockAbi(),
    ...(selinux === undefined ? {} : { selinux }),
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

/** The names that proc_pid_limits(5) has for those of getrlimit(2). */
const limitNames: Readonly<Record<string, string>> = {
  'Max cpu time': 'CPU',
  'Max file size': 'FSIZE',
  'Max data size': 'DATA',
  'Max stack size': 'STACK',
  'Max core file size': 'CORE',
  'Max resident set': 'RSS',
  'Max processes': 'NPROC',
  'Max open files': 'NOFILE',
  'Max locked memory': 'MEMLOCK',
  'Max address space': 'AS',
  'Max file locks': 'LOCKS',
  'Max pending signals': 'SIGPENDING',
  'Max msgqueue size': 'MSGQUEUE',
  'Max nice priority': 'NICE',
  'Max realtime priority': 'RTPRIO',
  'Max realtime timeout': 'RTTIME',
}

/** All limits of proc_pid_limits(5), the present and the highest. */
export function parseRlimits(limits: string): SpecRlimit[] {
  const value = (text: string | undefined): number => (text === 'unlimited' ? unlimited : Number(text))
  return limits.split('\n').flatMap((line) => {
    const [, name = '', soft, hard] = /^(\S.*?) {2,}(\S+)\s+(\S+)/.exec(line) ?? []
    const type = limitNames[name]
    return type === undefined ? [] : [{ type: `RLIMIT_${type}`, soft: value(soft), hard: value(hard) }]
  })
}
