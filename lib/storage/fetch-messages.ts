/** What a thread that fetches and the one that it works for say to each other. */
import type { Credentials } from '../image/registry-auth.js'
import type { ImageProgress } from '../image/progress.js'
import type { RegistryOptions } from '../image/registry-session.js'
import type { PlainError } from './plain-error.js'
import type { Stamp } from './stamp.js'

/** How a registry is reached, but for the credentials, which are asked for when it wants some. */
export type SessionOptions = Omit<RegistryOptions, 'credentials' | 'scopes'>

/** One request. Sessions, jobs and questions have numbers. */
export type FetchJob = { readonly job: number; readonly session: number; readonly repository: string } & (
  | { readonly is: 'manifest'; readonly reference: string }
  | {
      readonly is: 'blob'
      readonly digest: string
      readonly size: number
      readonly kind: ImageProgress['kind']
      readonly follows: boolean
      readonly reports: boolean
    }
)

export type ToFetcher =
  | {
      readonly is: 'open'
      readonly session: number
      readonly registry: string
      readonly options: SessionOptions
      /** The directory of the content store. */
      readonly store: string
    }
  | FetchJob
  /** The file of a blob that has begun to come was opened, or nobody wants it. */
  | { readonly is: 'begun'; readonly job: number }
  | { readonly is: 'cancel'; readonly job: number; readonly reason: PlainError }
  | {
      readonly is: 'answer'
      readonly question: number
      readonly credentials?: Credentials
      readonly error?: PlainError
    }
  | { readonly is: 'close'; readonly session: number }

export type FetchResult =
  | { readonly bytes: Uint8Array; readonly digest: string; readonly mediaType: string | undefined }
  | { readonly stamp: Stamp | undefined }

export type FromFetcher =
  | { readonly is: 'done'; readonly job: number; readonly result: FetchResult }
  | { readonly is: 'failed'; readonly job: number; readonly error: PlainError }
  | { readonly is: 'progress'; readonly job: number; readonly progress: ImageProgress }
  /** `fd` is open until it is said to have begun. */
  | { readonly is: 'begin'; readonly job: number; readonly fd: number; readonly growth: BigInt64Array }
  | { readonly is: 'question'; readonly question: number; readonly session: number; readonly repository: string }
