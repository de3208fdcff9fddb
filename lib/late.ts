import { createRequire } from 'node:module'

const load = createRequire(import.meta.url)

/**
 * A module that is loaded by the first call that needs it. Most programs never do, and what is imported every process
 * pays for at its start.
 * @param name of a dependency, or of a part of Node that is slow to load
 */
export function late(name: string): () => unknown {
  let loaded: unknown
  return () => (loaded ??= load(name) as unknown)
}
