/** Digests and chain ids, as the OCI image spec defines them (descriptor.md "Digests", config.md "Layer ChainID"). Pure. */
import { createHash } from 'node:crypto'

/** The one algorithm that Podling stores blobs by: the one that every registry and builder uses. */
export const digestPattern = /^sha256:[0-9a-f]{64}$/

/** True for a whole `sha256:<64 lower-case hex digits>`. */
export function isDigest(text: string): boolean {
  return digestPattern.test(text)
}

/** The digest of these bytes. */
export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The hex digits of a digest, without its algorithm. */
export function digestHex(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** A digest as short as people write it: the first 12 hex digits. */
export function shortDigest(digest: string): string {
  return digestHex(digest).slice(0, 12)
}

/**
 * The chain ids of a stack of layers, lowest first: what identifies a layer together with all that lies below it.
 * `ChainID(L0) = DiffID(L0)`, `ChainID(L0|...|Ln) = sha256(ChainID(L0|...|Ln-1) + ' ' + DiffID(Ln))`.
 */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = []
  for (const diffId of diffIds) {
    const below = chain.at(-1)
    chain.push(below === undefined ? diffId : sha256(`${below} ${diffId}`))
  }
  return chain
}
