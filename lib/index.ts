export { PodlingError } from './errors.js'
export type { ErrorCode, PodlingErrorDetails } from './errors.js'
