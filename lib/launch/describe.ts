/** Failures of the helper in words. Pure: what failed is known by its index in the plan. */
import { PodlingError } from '../errors.js'
import { errnoName } from '../sys/libc.js'
import { explain } from './explain/explain.js'
import type { Operation } from './operation.js'
import type { Plan } from './plan.js'
import type { Failure } from './protocol.js'
import { rlimitName } from './rlimits.js'

/** What an operation does, as the beginning of a message: `mount proc at /proc`. */
export function describeOperation(operation: Operation): string {
  switch (operation.op) {
    case 'propagation':
      return `make the mount tree ${operation.mode}`
    case 'root-overlay':
      return `mount the overlay of ${String(operation.lower.length)} layers at ${operation.at}`
    case 'root-bind':
      return `bind the root ${operation.source}`
    case 'mount':
      return `mount ${operation.fstype} at ${operation.target}`
    case 'bind':
      return `bind ${operation.source}${operation.subpath === undefined ? '' : `/${operation.subpath}`} at ${operation.target}`
    case 'keep-root':
      return operation.subpath === undefined ? 'mount an image' : `find ${operation.subpath} in an image`
    case 'hook':
      return `${operation.stage} hook ${operation.path}`
    case 'open-network':
      return 'open the network namespace'
    case 'adopt':
      return `mount the volume at ${operation.target}`
    case 'take':
      return `find ${operation.source}${operation.subpath === undefined ? '' : `/${operation.subpath}`}`
    case 'map-ids':
      return `map the ids of ${operation.path}`
    case 'enter-user':
      return 'enter the user namespace'
    case 'fill':
      return `fill the volume ${operation.data} with what the image has at ${operation.target}`
    case 'mkdir':
      return `make the directory ${operation.path}`
    case 'mknod':
      return `make the device ${operation.path} (${operation.type} ${String(operation.major)}:${String(operation.minor)})`
    case 'symlink':
      return `link ${operation.path} to ${operation.target}`
    case 'write-file':
      return `write the file ${operation.path}`
    case 'place-init':
      return `put the init at ${operation.path}`
    case 'account':
      return `enter ${operation.user} in /etc/passwd and /etc/group`
    case 'pivot-root':
      return 'enter the root'
    case 'mask':
      return `mask ${operation.path}`
    case 'read-only':
      return `make ${operation.path} read-only`
    case 'mount-read-only':
      return `make the mount ${operation.path} read-only`
    case 'hostname':
      return `set the host name ${operation.name}`
    case 'domainname':
      return `set the domain name ${operation.name}`
    case 'sysctl':
      return `set the sysctl ${operation.key} to ${operation.value}`
    case 'netlink':
      return operation.what
    case 'once':
      return 'go on'
    case 'loopback-up':
      return 'set the loopback link up'
    case 'rlimit':
      return `set the limit ${rlimitName(operation.resource)} to ${String(operation.soft)}:${String(operation.hard)}`
    case 'oom-score-adj':
      return `set oom_score_adj to ${String(operation.value)}`
    case 'personality':
      return 'set the personality'
    case 'scheduler':
      return 'set the scheduler'
    case 'io-priority':
      return 'set the I/O priority'
    case 'memory-policy':
      return 'set the memory policy'
    case 'affinity':
      return 'set the CPU affinity'
    case 'umask':
      return 'set the umask'
    case 'keyring':
      return 'make a session keyring'
    case 'attribute':
      return operation.name === 'apparmor/exec'
        ? `confine the program by the AppArmor profile ${operation.value.replace(/^exec /, '')}`
        : `give the ${operation.name === 'exec' ? 'program' : 'session keyring'} the SELinux label ${operation.value}`
    case 'no-new-privs':
      return 'set no_new_privs'
    case 'enter-pids':
      return 'enter the pid namespace of the container'
    case 'user':
      return `become the user ${operation.user === '' ? '0' : operation.user}`
    case 'ids':
      return `become the user ${String(operation.uid)}:${String(operation.gid)}`
    case 'capabilities':
      return 'set the capabilities'
    case 'seccomp':
      return 'load the seccomp filter'
    case 'landlock':
      return 'confine the process by Landlock'
    case 'chdir':
      return `change into the directory ${operation.path}`
    case 'terminal':
      return operation.console ? 'make the terminal of the container' : 'make a terminal'
    case 'init':
      return 'start the init'
    case 'barrier':
      return 'wait at the barrier'
    case 'part':
      return `find ${operation.program}`
    case 'probe':
      return `look at port ${String(operation.port)}`
    case 'exit':
      return 'end the process'
    case 'hold':
      return 'hold the namespaces of the pod'
    case 'exec':
      return `execute ${operation.argv[0] ?? ''}`
  }
}

function pathOf(operation: Operation | undefined, syscall: string): string | undefined {
  switch (operation?.op) {
    case 'mount':
      return operation.target
    case 'bind':
      return syscall === 'open_tree' ? operation.source : operation.target
    case 'take':
      return operation.source
    case 'mkdir':
    case 'mknod':
    case 'symlink':
    case 'write-file':
    case 'map-ids':
    case 'mask':
    case 'read-only':
    case 'mount-read-only':
    case 'chdir':
    case 'hook':
      return operation.path
    case 'exec':
      return operation.argv[0]
    default:
      return undefined
  }
}

function describeStage(failure: Failure, plan: Plan): string {
  const { index } = failure
  switch (failure.stage) {
    case 'plan':
      return 'read the launch plan'
    case 'fork':
      return 'fork a monitor'
    case 'cgroup-directory':
      return `make the cgroup ${[...(plan.cgroup.shared ?? []), ...plan.cgroup.directories][index] ?? ''}`
    case 'cgroup-write': {
      const write = plan.cgroup.writes[index]
      return `write ${write?.value.trim() ?? ''} to ${write?.path ?? ''}`
    }
    case 'cgroup-attach':
      return `enter the cgroup ${plan.cgroup.attach[index] ?? ''}`
    case 'cgroup-enter':
      return `open the cgroup ${plan.cgroup.into ?? ''}`
    case 'device-program':
      return `attach the device filter to ${plan.cgroup.unified ?? ''}`
    case 'join':
      return `join the ${plan.join[index]?.type ?? 'mount'} namespace ${plan.join[index]?.path ?? plan.peer ?? ''}`
    case 'clone':
      return `make the process with new namespaces (${plan.create.join(', ')})`
    case 'id-map':
      return 'map user and group ids'
    case 'stdio':
      return 'set up standard input and output'
    case 'socket':
      return `listen at ${plan.monitor?.socket ?? ''}`
    case 'log':
      return `make the log and the exit record ${plan.monitor?.log?.target ?? plan.monitor?.exitFile ?? ''}`
    case 'operation': {
      const operation = plan.operations[index]
      return operation === undefined ? 'run the plan' : describeOperation(operation)
    }
    case 'died':
      return 'start the process'
    case 'ended':
      return 'execute a command in the container'
    case 'console':
      return 'send the terminal to the console socket'
    case 'listener':
      return `send the listener of the seccomp filter to ${plan.listener?.path ?? 'its socket'}`
    case 'link':
      return 'make the links of the container'
    case 'enter':
      return 'join the namespaces of the container'
    case 'namespaces':
      return 'enter the namespaces of containers'
  }
}

/** The error for a start or exec that the helper could not do: what was tried, why it failed, what to do. */
export function failureError(failure: Failure, plan: Plan): PodlingError {
  const { code, why, remedy } = explain(failure, plan)
  const path = failure.stage === 'operation' ? pathOf(plan.operations[failure.index], failure.syscall) : undefined
  const system = failure.stage !== 'died' && !failure.reason.startsWith('hook-') && failure.error !== 0
  const message = `${describeStage(failure, plan)}: ${why}${remedy === undefined ? '' : `; ${remedy}`}`
  return new PodlingError(code, message, {
    ...(system ? { syscall: failure.syscall, errno: errnoName(failure.error) } : {}),
    ...(path === undefined ? {} : { path }),
  })
}
