/**
 * A quota is on files by their project id, and the owner of a file may give it another one, in the first user namespace at
 * least, where containers are: so what has a quota must not. Pure.
 */
import type { LinuxSeccomp, SeccompAction, SeccompRule } from './linux-seccomp.js'

/** _IOW('X', 32, struct fsxattr), the same on every architecture; `chattr -p` and `xfs_io -c chproj` make it. */
const FS_IOC_FSSETXATTR = 0x401c_5820
const EPERM = 1
const EOPNOTSUPP = 95

/** The same rules, but for the calls that change a file's project id: to them the file system seems not to have such ids. */
export function guardingProjects(seccomp: LinuxSeccomp): LinuxSeccomp {
  // What a rule does must differ from the default action, or the rule says nothing (seccomp-rules.ts).
  const clash = seccomp.defaultAction === 'SCMP_ACT_ERRNO' && seccomp.defaultErrnoRet === EOPNOTSUPP
  const refusal = { action: 'SCMP_ACT_ERRNO', errnoRet: clash ? EPERM : EOPNOTSUPP } as const
  return {
    ...seccomp,
    syscalls: [
      // The kernel looks at 32 bits of the number, whatever stands above them.
      {
        names: ['ioctl'],
        ...refusal,
        args: [{ index: 1, op: 'SCMP_CMP_MASKED_EQ', value: 0xffff_ffff, valueTwo: FS_IOC_FSSETXATTR }],
      },
      // What allows only what it names then allows this call no more; any other has to be told.
      ...(lenient.includes(seccomp.defaultAction) ? [{ names: ['file_setattr'], ...refusal }] : []),
      ...(seccomp.syscalls ?? []).flatMap(conditional),
    ],
  }
}

/** A rule without arguments would beat the one above: it gets one that always holds. */
function conditional(rule: SeccompRule): SeccompRule[] {
  const { names, args = [] } = rule
  const others = names.filter((name) => name !== 'ioctl' && name !== 'file_setattr')
  const rest = others.length === 0 ? [] : [{ ...rule, names: others }]
  if (!names.includes('ioctl')) return rest
  return [...rest, { ...rule, names: ['ioctl'], args: args.length > 0 ? args : [always] }]
}

const lenient: readonly SeccompAction[] = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_NOTIFY']

const always = { index: 0, op: 'SCMP_CMP_GE', value: 0 } as const
