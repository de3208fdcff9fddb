/** Where the native helper is: the only place that knows the layout of the package. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PodlingError } from '../errors.js'

/**
 * The helper that was built for this machine.
 * @throws PodlingError `PLATFORM_UNSUPPORTED` off Linux; `HELPER_NOT_FOUND` when the package has none for this processor.
 */
export function findHelper(platform = process.platform, arch = process.arch): string {
  if (platform !== 'linux') {
    throw new PodlingError('PLATFORM_UNSUPPORTED', `Podling runs on Linux only, and this is ${platform}`)
  }
  const file = join('dist', 'native', `linux-${arch}`, 'podling-helper')
  /* This module runs from dist and, in tests, from .build/lib/launch. */
  let directory = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const candidate = join(directory, file)
    if (existsSync(candidate)) return candidate
    const parent = dirname(directory)
    if (parent === directory) break
    directory = parent
  }
  throw new PodlingError(
    'HELPER_NOT_FOUND',
    `The package holds no helper for linux-${arch} (${file}); build it with \`make -C native\`, or install a Podling that has it`,
    { path: file },
  )
}
