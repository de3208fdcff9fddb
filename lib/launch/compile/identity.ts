import { capabilityMask } from '../../security/capabilities.js'
import { landlockMasks } from '../../security/landlock.js'
import { compileSeccomp } from '../../security/seccomp-compile.js'
import { machine } from '../../security/seccomp-profile.js'
import type { Spec, SpecCapabilities, SpecProcess } from '../oci-spec.js'
import type { Operation } from '../operation.js'

/** Who the process is and what it may do, in the order that the kernel's own rules leave open. */
export function identityOperations(spec: Spec, process: SpecProcess): Operation[] {
  const seccomp: Operation[] =
    spec.linux?.seccomp === undefined ? [] : [{ op: 'seccomp', ...compileSeccomp(spec.linux.seccomp, machine) }]
  const { user, landlock } = process
  // Found first, and become with the capabilities: the standard streams are made the user's before a filter may forbid that.
  const setHome = !(process.env ?? []).some((entry) => entry.startsWith('HOME='))
  const { uid, gid, username, additionalGids: groups = [] } = user
  const found: Operation =
    username === undefined
      ? { op: 'ids', uid, gid, groups, setHome }
      : { op: 'user', user: username, groups: groups.map(String), setHome }
  const place: Operation[] = [
    { op: 'umask', mask: user.umask ?? 0o022 },
    // As root still, so that a directory of the image that only its owner may enter works, as with runc.
    { op: 'chdir', path: process.cwd, create: true },
    // Behind all that makes or opens something, and before a filter may forbid it.
    ...(landlock === undefined ? [] : [{ op: 'landlock', ...landlockMasks(landlock) } as const]),
  ]
  const capabilities = capabilityOperation(process.capabilities ?? {})
  // Without no_new_privs only CAP_SYS_ADMIN may load a filter, so it must come before the capabilities go. With it the
  // filter comes last, and the profile need not allow what setting up the identity takes (seccomp(2)).
  return process.noNewPrivileges
    ? [found, { op: 'no-new-privs' }, ...place, capabilities, ...seccomp]
    : [found, ...place, ...seccomp, capabilities]
}

export function capabilityOperation(sets: SpecCapabilities): Operation {
  return {
    op: 'capabilities',
    effective: capabilityMask(sets.effective ?? []),
    permitted: capabilityMask(sets.permitted ?? []),
    inheritable: capabilityMask(sets.inheritable ?? []),
    bounding: capabilityMask(sets.bounding ?? []),
    ambient: capabilityMask(sets.ambient ?? []),
  }
}
