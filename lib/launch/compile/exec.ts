/** Further processes of a running container → launch plan: commands, and the helper's own look whether it answers. Pure. */
import { PodlingError } from '../../errors.js'
import type { LinuxSeccomp } from '../../security/linux-seccomp.js'
import { notifiesOf } from '../../security/seccomp-compile.js'
import { allowsAlways } from '../../security/seccomp-rules.js'
import type { Spec, SpecProcess } from '../oci-spec.js'
import type { Operation } from '../operation.js'
import type { Plan, PlanStdio } from '../plan.js'
import { identityOperations } from './identity.js'
import type { LaunchInput } from './input.js'
import { attributeOperations } from './labels.js'
import { execOperation, limitOperations, partOperations, scoreOperations, terminalOperations } from './process.js'
import { schedulingOperations } from './scheduling.js'

/** The plan of a further process in a running container: it joins what pid 1 has. */
export function compileExec(spec: Spec, process: SpecProcess, stdio: PlanStdio, parts?: LaunchInput['parts']): Plan {
  return {
    create: [],
    join: [],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio,
    operations: [
      ...attributeOperations(process),
      { op: 'keyring' },
      ...enteringPids(spec, process, [
        ...terminalOperations(process, stdio, false),
        ...limitOperations(process),
        ...schedulingOperations(spec, process, true),
        ...scoreOperations(process),
        ...identityOperations(spec, process),
      ]),
      ...partOperations(process, parts),
      execOperation(process),
    ],
  }
}

/** As of an exec, but that it is this helper which looks: for a listener on a port, or an answer to a GET of `path`. */
export function compileProbe(spec: Spec, process: SpecProcess, { port, path }: { port: number; path?: string }): Plan {
  const { seccomp: _, ...linux } = spec.linux ?? {}
  const harmless = { ...process, cwd: '/', capabilities: {}, noNewPrivileges: true }
  return {
    create: [],
    join: [],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'pass', stderr: 'pass' },
    operations: [
      { op: 'keyring' },
      // No filter of a program's that may know nothing of sockets.
      ...enteringPids({ ...spec, linux }, harmless, identityOperations({ ...spec, linux }, harmless)),
      { op: 'probe', port, ...(path === undefined ? {} : { path }) },
    ],
  }
}

/**
 * When the container gets to see the process: with its rights given up, be it that no process of the container can trace it
 * before and its filter would not let it be born.
 */
function enteringPids(spec: Spec, process: SpecProcess, operations: readonly Operation[]): Operation[] {
  const seccomp = spec.linux?.seccomp
  const traced = spec.process?.capabilities?.bounding?.includes('CAP_SYS_PTRACE') ?? false
  const late = traced || process.noNewPrivileges || seccomp === undefined || bearable(seccomp)
  if (traced && !process.noNewPrivileges && seccomp !== undefined) refuseUnsendable(seccomp)
  const at = late ? operations.findIndex(({ op }) => op === 'capabilities') + 1 : 0
  return [...operations.slice(0, at), { op: 'enter-pids' }, ...operations.slice(at)]
}

/** Can a process be born that has the filter already? One that asks a listener has it from the process that it is told of. */
function bearable(seccomp: LinuxSeccomp): boolean {
  return !notifiesOf(seccomp) && allowsAlways(seccomp, ['clone', 'setsid'])
}

/** What has no thread beside it yet sends its listener by itself, with the filter in force. */
function refuseUnsendable(seccomp: LinuxSeccomp): void {
  if (!notifiesOf(seccomp) || allowsAlways(seccomp, ['sendmsg'])) return
  throw new PodlingError(
    'PERMISSION_DENIED',
    'execute a command in the container: its seccomp profile leaves calls to a listener and does not allow sendmsg, and its ' +
      'programs may trace others; allow sendmsg, drop SYS_PTRACE, or set noNewPrivileges',
  )
}
