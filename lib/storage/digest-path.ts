/** Digests as parts of paths: nothing but what a digest may hold ever reaches the file system. */
import { PodlingError } from '../errors.js'

/**
 * Take a digest (OCI image spec, descriptor.md) apart.
 * @throws PodlingError IMAGE_INVALID unless it is `sha256:` and 64 lower-case hex digits, the one algorithm in use.
 */
export function parseDigest(digest: string): { algorithm: 'sha256'; hex: string } {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1]
  if (hex === undefined) {
    throw new PodlingError('IMAGE_INVALID', `${JSON.stringify(digest.slice(0, 200))} is not a sha256 digest`)
  }
  return { algorithm: 'sha256', hex }
}
