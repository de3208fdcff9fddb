/** A name is got from the first place that has it: its mirrors in turn, then where it belongs. */
import { PodlingError } from '../errors.js'
import type { ImagePolicy } from '../image/policy/image-policy.js'
import type { PullSource } from '../image/policy/pull-sources.js'
import type { Reference } from '../image/reference.js'

/** What another place may have when this one doesn't, or has it spoilt. */
const passable: readonly string[] = [
  'IMAGE_NOT_FOUND', 'REGISTRY_UNREACHABLE', 'REGISTRY_UNAUTHORIZED', 'REGISTRY_RATE_LIMITED', 'REGISTRY_FAILED',
  'DIGEST_MISMATCH', 'SIZE_MISMATCH', 'IMAGE_INVALID',
] // prettier-ignore

/**
 * Try each place until one gives the image.
 * @param pull gets it from one place, under its own name
 * @throws the failure of the last, which tells of those before
 */
export async function pullFrom<T>(
  ref: string,
  policy: ImagePolicy,
  pull: (source: PullSource, name: Reference) => Promise<T>,
): Promise<T> {
  const meanings = await policy.forPull(ref)
  const places = meanings.flatMap(({ reference, sources }) => sources.map((source) => ({ reference, source })))
  const failures: PodlingError[] = []
  for (const [position, { reference, source }] of places.entries()) {
    try {
      return await pull(source, reference)
    } catch (error) {
      if (!(error instanceof PodlingError)) throw error
      if (position === places.length - 1) throw withFailures(error, failures)
      // A short name of several registries is looked for in the next only when this one doesn't have it.
      const isOther = places[position + 1]?.reference !== reference
      if (!passable.includes(error.code) || (isOther && error.code !== 'IMAGE_NOT_FOUND'))
        throw withFailures(error, failures)
      failures.push(error)
    }
  }
  throw new PodlingError('IMAGE_NOT_FOUND', `pull ${ref}: there is no place to get it from`)
}

function withFailures(error: PodlingError, before: readonly PodlingError[]): PodlingError {
  if (before.length === 0) return error
  const told = before.map(({ message }) => message).join('; ')
  return new PodlingError(error.code, `${error.message}; before that: ${told}`, {
    cause: new AggregateError([error, ...before]),
  })
}
