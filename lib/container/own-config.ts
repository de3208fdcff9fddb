/** What a container has in the place of its image's configuration, for an image that is made of it. Pure. */
import type { ImageConfigInput } from '../image/image-config-input.js'
import type { NormalizedOptions } from './normalized-options.js'
import { signalName } from './signals.js'

export interface OwnConfig {
  readonly config: ImageConfigInput
  /** Where something is mounted by its options. */
  readonly targets: readonly string[]
}

/**
 * As podman-commit(1) has it, but for the variables that the runtime itself sets, which belong to no image. Of the mounts
 * the volumes without a name count: what else is mounted is the host's.
 */
export function ownConfig(options: NormalizedOptions): OwnConfig {
  const { entrypoint, command, env, workdir, user, labels, stopSignal, mounts } = options
  const anonymous = mounts.filter(({ extras }) => extras?.volume !== undefined && extras.volume.name === undefined)
  const exposedPorts = portsOf(options).map(({ container, protocol }) => ({ port: container, protocol }))
  const ownCommand = command.length > 0 || (entrypoint !== undefined && entrypoint.length > 0)
  return {
    config: {
      ...(entrypoint === undefined ? {} : { entrypoint: entrypoint.filter((word) => word !== '') }),
      ...(ownCommand ? { cmd: command } : {}),
      ...(Object.keys(env).length === 0 ? {} : { env }),
      ...(workdir === undefined ? {} : { workingDir: workdir }),
      ...(user === undefined ? {} : { user }),
      ...(exposedPorts.length === 0 ? {} : { exposedPorts }),
      ...(anonymous.length === 0 ? {} : { volumes: anonymous.map(({ destination }) => destination) }),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(stopSignal === undefined ? {} : { stopSignal: signalWord(stopSignal) }),
    },
    targets: mounts.map(({ destination }) => destination),
  }
}

/** One without a name goes by its number, as in the image specification's config.md. */
function signalWord(number: number): string {
  const name = signalName(number)
  return /\d$/.test(name) && name.endsWith(String(number)) ? String(number) : name
}

function portsOf({ network }: NormalizedOptions) {
  return typeof network === 'object' && 'ports' in network ? network.ports : []
}
