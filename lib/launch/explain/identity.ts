import type { Operation } from '../operation.js'
import type { Failure } from '../protocol.js'
import type { Explanation } from './explanation.js'

/** In a user namespace there are no more ids than it has been given (user_namespaces(7)). */
export function explainIdentity({ syscall }: Failure, errno: string, operation?: Operation): Explanation | undefined {
  if (operation === undefined || errno !== 'EINVAL' || !/^(setresuid|setresgid|setgroups)$/.test(syscall))
    return undefined
  return {
    code: 'SUBIDS_TOO_FEW',
    why: `the user namespace of the container has no such ${syscall === 'setresuid' ? 'user' : 'group'} (${errno})`,
    remedy: 'choose another user, or give a range in /etc/subuid and /etc/subgid; see userNamespace of info()',
  }
}
