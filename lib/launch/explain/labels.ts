/** What security modules say to a label or a profile. Pure. */
import type { Explanation } from './explanation.js'
import type { Operation } from '../operation.js'
import type { Plan } from '../plan.js'
import type { Failure } from '../protocol.js'

const logged = 'the log of the kernel has the denial (`ausearch -m avc`, or dmesg(1))'

export function explainLabels(
  { reason, syscall }: Failure,
  errno: string,
  plan: Plan,
  operation?: Operation,
): Explanation | undefined {
  if (operation?.op === 'attribute') return explainAttribute(operation.name, errno)
  if ((operation?.op === 'mount' || operation?.op === 'root-overlay') && syscall === 'fsconfig context')
    return explainAttribute('exec', errno)
  const labelled = plan.operations.some((one) => one.op === 'attribute' && one.name === 'exec')
  if (!labelled || operation?.op !== 'exec' || errno !== 'EACCES' || reason !== 'command-not-executable')
    return undefined
  return {
    code: 'COMMAND_NOT_EXECUTABLE',
    why: `not executable (${errno})`,
    remedy: `its mode must allow it, and so must the policy of SELinux: ${logged}`,
  }
}

function explainAttribute(
  name: Extract<Operation, { op: 'attribute' }>['name'],
  errno: string,
): Explanation | undefined {
  if (name === 'apparmor/exec') return explainProfile(errno)
  switch (errno) {
    case 'EINVAL':
      return {
        code: 'INVALID_OPTION',
        why: 'the policy of SELinux knows no such label, or allows no such combination (EINVAL)',
        remedy: 'see `seinfo -t` and `seinfo -r` for its types and roles; levels go from s0:c0 to s0:c1023',
      }
    case 'ENOENT':
      return {
        code: 'KERNEL_UNSUPPORTED',
        why: 'this kernel has no SELinux (ENOENT)',
        remedy: 'boot with security=selinux selinux=1, or leave the label out',
      }
    case 'EACCES':
    case 'EPERM':
      return {
        code: 'PERMISSION_DENIED',
        why: `the policy of SELinux lets this process give no such label (${errno})`,
        remedy: `choose a type that it may, or run it in a domain that may start containers: ${logged}`,
      }
    default:
      return undefined
  }
}

/** A profile that isn't loaded is as one that isn't there, aa_change_profile(2). */
function explainProfile(errno: string): Explanation | undefined {
  switch (errno) {
    case 'ENOENT':
      return {
        code: 'APPARMOR_PROFILE_NOT_LOADED',
        why: 'no such profile is loaded (ENOENT)',
        remedy: 'load it first, by `apparmor_parser -r FILE`; those that are, `aa-status` tells',
      }
    case 'EINVAL':
      return {
        code: 'KERNEL_UNSUPPORTED',
        why: 'this kernel has no AppArmor, or another module in its place (EINVAL)',
        remedy: 'boot with security=apparmor apparmor=1, or leave the profile out',
      }
    case 'EACCES':
    case 'EPERM':
      return {
        code: 'PERMISSION_DENIED',
        why: `the profile that this process has lets it change to no other (${errno})`,
        remedy: 'add a rule `change_profile -> NAME` to that one, or start this process unconfined',
      }
    default:
      return undefined
  }
}
