import { createRequire } from 'node:module'

/** The newest version of the runtime-spec that is followed. */
export const specVersion = '1.2.1'

export function packageVersion(): string {
  return (createRequire(import.meta.url)('podling/package.json') as { version: string }).version
}

/** The specification's version stands below ours, where engines look for it. */
export function versionText(): string {
  return `podling-oci version ${packageVersion()}\nspec: ${specVersion}\n`
}
