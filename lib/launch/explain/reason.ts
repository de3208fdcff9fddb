import type { Operation } from '../operation.js'
import type { Failure } from '../protocol.js'
import type { Explanation } from './explanation.js'

/** Failures that the helper itself has a word for. */
export function explainReason(
  { reason, syscall }: Failure,
  errno: string,
  operation?: Operation,
): Explanation | undefined {
  const looksUp = operation?.op === 'user' || operation?.op === 'ids'
  const database = looksUp ? 'USER_NOT_FOUND' : 'START_FAILED'
  switch (reason) {
    case 'user-not-found':
      return {
        code: 'USER_NOT_FOUND',
        why: 'no such user in the /etc/passwd of the image',
        remedy: 'name one that is there, or give a uid',
      }
    case 'group-not-found':
      return {
        code: 'USER_NOT_FOUND',
        why: 'no such group in the /etc/group of the image',
        remedy: 'name one that is there, or give a gid',
      }
    case 'command-not-found':
      return {
        code: 'COMMAND_NOT_FOUND',
        why: 'no such program in the container',
        remedy: 'give its absolute path, or see that the image has it in a directory of its PATH',
      }
    case 'interpreter-not-found':
      return {
        code: 'COMMAND_NOT_FOUND',
        why: 'the program is there, but its interpreter or loader is not',
        remedy: 'add to the image what its #! line or its ELF header names',
      }
    case 'command-not-executable':
      return errno === 'ENOEXEC'
        ? {
            code: 'COMMAND_NOT_EXECUTABLE',
            why: 'not a program for this machine (ENOEXEC)',
            remedy: 'a script needs a #! line, a binary must be built for this processor',
          }
        : {
            code: 'COMMAND_NOT_EXECUTABLE',
            why: `not executable (${errno})`,
            remedy: 'it must be a file that the user may execute, on a mount without noexec',
          }
    case 'workdir-invalid':
      return {
        code: 'WORKDIR_INVALID',
        why: errno,
        remedy: 'choose a workdir that is a directory, or that can be made',
      }
    case 'workdir-outside':
      return { code: 'WORKDIR_INVALID', why: 'it lies outside of the root', remedy: 'choose a workdir inside of it' }
    case 'not-procfs':
      return { code: 'START_FAILED', why: '/proc is not the kernel’s procfs', remedy: 'mount nothing else there' }
    case 'not-dev-null':
      return {
        code: 'START_FAILED',
        why: '/dev/null of the container is not the null device',
        remedy: 'leave /dev/null as it is made by default',
      }
    case 'not-devpts':
      return {
        code: 'START_FAILED',
        why: 'what is mounted at /dev/pts of the container is not a devpts',
        remedy: 'leave /dev/pts as it is made by default',
      }
    case 'not-a-file':
      return {
        code: database,
        why: looksUp ? `/${syscall} of the image is not a regular file` : 'not a regular file',
        ...(looksUp ? { remedy: 'mend the image' } : {}),
      }
    case 'too-large':
      return { code: database, why: `/${syscall} is too large`, remedy: 'mend the image' }
    case 'keeps-label':
      return {
        code: 'INVALID_OPTION',
        why: 'what the machine itself is made of keeps its labels',
        remedy: 'mount a directory of its own, or leave z and Z (relabel) out',
      }
    case 'hook-exited':
    case 'hook-killed':
    case 'hook-late':
    case 'syscall':
      return undefined
  }
}
