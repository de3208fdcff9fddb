import { setImmediate } from 'node:timers/promises'
import { validateSpec } from '../launch/validate-spec.js'
import { compileSeccomp } from '../security/seccomp-compile.js'
import { generateSpec } from './generate-spec.js'
import { readHostFacts } from './host-facts.js'
import { parseOptions } from './parse-options.js'

/**
 * Make a plain container's spec once, for nothing: the code is compiled then, the checks of the usual options and the default
 * filter are made, and the first real start doesn't wait for it. The event loop gets its turn between the steps.
 */
export async function warmUp(): Promise<void> {
  const host = readHostFacts()
  const options = parseOptions({
    image: 'none',
    command: ['true'],
    env: {},
    memory: '64m',
    cpus: 1,
    network: 'none',
    volumes: ['/:/host'],
  })
  await setImmediate()
  const spec = generateSpec({
    options,
    id: '0'.repeat(64),
    rootPath: '/',
    cgroupsPath: '/',
    files: { hosts: '/' },
    host,
  })
  await setImmediate()
  validateSpec(spec)
  await setImmediate()
  if (spec.linux?.seccomp !== undefined) compileSeccomp(spec.linux.seccomp, host.arch ?? 'amd64')
}
