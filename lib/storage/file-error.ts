/** Failures of node:fs as Podling's: a full disk is DISK_FULL wherever it is met. */
import { PodlingError } from '../errors.js'
import { systemError } from '../sys/libc.js'

/** Whether `error` is a node:fs failure with this errno, such as `'ENOENT'`. */
export function isErrno(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && names.includes(error.code)
}

/** A {@link PodlingError} for a failure of node:fs; one that is a PodlingError already is returned as it is. */
export function fileError(error: unknown, what: string): PodlingError {
  if (error instanceof PodlingError) return error
  if (!(error instanceof Error)) return new PodlingError('SYSTEM_CALL_FAILED', what, { cause: error })
  const { code, syscall, path } = error as NodeJS.ErrnoException
  if (code === undefined || syscall === undefined) {
    return new PodlingError('SYSTEM_CALL_FAILED', `${what}: ${error.message}`, { cause: error })
  }
  const failure = systemError(syscall, code, what, path)
  return new PodlingError(failure.code, failure.message, {
    cause: error,
    syscall,
    errno: code,
    ...(path === undefined ? {} : { path }),
  })
}
