/** The launch of a container on a user-mode network: the program for it starts while the container stands at its barrier. */
import { findHelper } from '../launch/helper-path.js'
import type { Monitor } from '../launch/monitor.js'
import type { Plan } from '../launch/plan.js'
import type { NetworkMode } from '../network/mode.js'
import { pastaFacts, startPasta } from '../network/pasta.js'
import { slirp4netnsFacts, startSlirp4netns } from '../network/slirp4netns.js'
import { close, pipe } from '../sys/descriptors.js'
import { launchAtBarrier } from './barrier.js'
import { beforeCommand } from './before-command.js'
import type { Lifecycle } from './lifecycle.js'
import { writeNetworkState } from './network-state.js'

export type UserNetwork = Extract<NetworkMode, { kind: 'user' }>

export function userNetworkOf({ record }: Lifecycle): UserNetwork | undefined {
  const { network } = record.options
  return typeof network === 'object' && network.kind === 'user' ? network : undefined
}

const programs = {
  pasta: { start: startPasta, facts: pastaFacts },
  slirp4netns: { start: startSlirp4netns, facts: slirp4netnsFacts },
} as const

/** Where a container on such a network finds its resolver. */
export function resolverOf({ program }: UserNetwork): string {
  return programs[program].facts.resolver
}

/**
 * @param plan with a barrier
 * @param given descriptors for the monitor; they are given away
 * @throws PodlingError as {@link Launcher.launch}, and `NETWORK_PROGRAM_NOT_FOUND`, `NETWORK_PROGRAM_FAILED`, `PORT_IN_USE`;
 * nothing of the container is left then
 */
export async function launchOnUserNetwork(
  container: Lifecycle,
  plan: Plan,
  given: readonly number[],
  network: UserNetwork,
): Promise<Monitor> {
  const { context, paths } = container
  // The monitor has the one end for as long as the container lives, whoever else does.
  const lifetime = pipe()
  try {
    return await launchAtBarrier(context.launcher, plan, [lifetime.write, ...given], async (monitor) => {
      const { ports } = await programs[network.program].start({
        netns: `/proc/${String(monitor.pid)}/ns/net`,
        ports: network.ports,
        lifetime: lifetime.read,
        helper: findHelper(),
        directory: paths.runDirectory,
        hostGateway: container.record.options.hostGateway !== false,
      })
      writeNetworkState(paths.network, { endpoints: [], ports, changed: false })
      await beforeCommand(container, monitor)
    })
  } finally {
    close(lifetime.read)
  }
}
