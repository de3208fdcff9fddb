import type { Spec, SpecProcess } from '../launch/oci-spec.js'
import type { Started } from '../launch/protocol.js'
import { execCapabilities } from './capability-sets.js'
import { consoleSize, defaultTerm } from './generate-spec.js'
import type { SpawnOptions } from './spawn-options.js'
import { terminalSizeOf } from './terminal/size.js'

/**
 * The OCI process of an exec: the container's own, but for what the options say. Pure.
 * @param available the capabilities that the host can give
 */
export function execProcess(
  spec: Spec,
  argv: readonly string[],
  options: SpawnOptions,
  started: Started,
  available: readonly string[],
): SpecProcess {
  const own = spec.process
  if (own === undefined) throw new TypeError('a container has a process')
  const { consoleSize: _, ...rest } = own
  const size = terminalSizeOf(options.tty)
  return {
    ...rest,
    terminal: size !== undefined,
    ...consoleSize(size),
    args: [...argv],
    env: mergeEnv(own.env ?? [], options, started),
    cwd: options.workdir ?? own.cwd,
    user: options.user === undefined ? own.user : { uid: 0, gid: 0, username: options.user },
    capabilities: execCapabilities(own, options, available),
  }
}

function mergeEnv(own: readonly string[], options: SpawnOptions, started: Started): string[] {
  const env = new Map(own.map((entry) => [entry.slice(0, entry.indexOf('=')), entry]))
  // HOME is the user's: of the container's own one as found at its start; of another as found when the process starts.
  if (options.user === undefined && started.home !== undefined && !env.has('HOME')) {
    env.set('HOME', `HOME=${started.home}`)
  }
  if (options.tty && !env.has('TERM')) env.set('TERM', defaultTerm)
  for (const [name, value] of Object.entries(options.env ?? {})) env.set(name, `${name}=${value}`)
  return [...env.values()]
}
