/** Errors between threads: a structured clone keeps neither their class nor their code. */
import { PodlingError, type ErrorCode } from '../errors.js'

export interface PlainError {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly details?: { readonly syscall?: string; readonly errno?: string; readonly path?: string }
  readonly cause?: PlainError
}

/** Causes of causes that are told. */
const deepest = 4

export function plainError(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  const { name, message } = error
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
  const cause = error.cause === undefined || depth === deepest ? {} : { cause: plainError(error.cause, depth + 1) }
  if (!(error instanceof PodlingError)) return { name, message, ...code, ...cause }
  const { syscall, errno, path } = error
  const details = {
    ...(syscall === undefined ? {} : { syscall }),
    ...(errno === undefined ? {} : { errno }),
    ...(path === undefined ? {} : { path }),
  }
  return { name, message, ...code, ...cause, details }
}

/** @returns a PodlingError for what was one */
export function errorOf({ name, message, code, details, cause }: PlainError): Error {
  const options = cause === undefined ? {} : { cause: errorOf(cause) }
  // Only a PodlingError has details, and its code is one of ours.
  if (details !== undefined) return new PodlingError(code as ErrorCode, message, { ...details, ...options })
  return Object.assign(new Error(message, options), { name }, code === undefined ? {} : { code })
}
