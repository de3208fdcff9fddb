/** Containers as their networks see them. */
import { PodlingError } from '../errors.js'
import { Monitor } from '../launch/monitor.js'
import type { Plan } from '../launch/plan.js'
import type { NetworkOperation, NetworkStatus } from '../network/attachment.js'
import type { ContainerAccess, RunningContainer } from '../network/container-access.js'
import type { ContainerContext } from './context.js'
import type { Lifecycle } from './lifecycle.js'
import { RunLock } from './run-lock.js'
import { standIn } from './stand-in.js'
import { readNetworkState, writeNetworkState } from './network-state.js'
import { containerPaths } from './record.js'
import { writeResolvConf } from './write-etc-files.js'

/** A handle of a container. */
interface Networked {
  withNetwork<T>(work: (container: RunningContainer) => Promise<T>): Promise<T>
}

export function networkAccess(
  context: ContainerContext,
  find: (idOrName: string) => Promise<Networked>,
): ContainerAccess {
  return {
    usersOf: (network) =>
      [...context.records.entries()].flatMap(([, { name, options }]) => {
        const mode = options.network
        const uses =
          typeof mode === 'object' && mode.kind === 'networks' && mode.networks.some((one) => one.name === network)
        return uses ? [name] : []
      }),
    withRunning: async (idOrName, work) => (await find(idOrName)).withNetwork(work),
    running: () => running(context),
    lives: (id) => lives(context, id),
    standIn: (operations) => standIn(context, operations),
  }
}

async function running(context: ContainerContext): Promise<{ id: string; status: NetworkStatus }[]> {
  const found = []
  for (const [id] of context.records.entries()) {
    const status = readNetworkState(containerPaths(context.root, context.runRoot, id, false).network)
    if (status.endpoints.length > 0 && (await lives(context, id))) found.push({ id, status })
  }
  return found
}

/** Does it run, or is somebody making or starting it right now? */
async function lives({ records, root, runRoot }: ContainerContext, id: string): Promise<boolean> {
  const { socket, lock } = containerPaths(root, runRoot, id, false)
  if (RunLock.isHeld(lock)) return true
  if (records.get(id) === undefined) return false
  try {
    const monitor = await Monitor.connect(socket)
    monitor.close()
    return true
  } catch (error) {
    if (error instanceof PodlingError && error.code === 'MONITOR_DIED') return false
    throw error
  }
}

/** A container that runs, to be changed by its networks; the caller keeps other changes to it away meanwhile. */
export function runningContainer(lifecycle: Lifecycle, verb: string): RunningContainer {
  const { record, paths } = lifecycle
  const monitor = lifecycle.requireMonitor(verb)
  const mode = record.options.network
  return {
    id: record.id,
    name: record.name,
    pid: monitor.pid,
    monitorPid: monitor.monitorPid,
    get status() {
      return readNetworkState(paths.network)
    },
    dns: record.options.dns,
    ownNetwork: mode === 'none' || (typeof mode === 'object' && mode.kind === 'networks'),
    async enter(operations) {
      if (operations.length === 0) return
      const process = await monitor.exec(planOf(operations), [])
      await process.exited
    },
    changed(status) {
      writeNetworkState(paths.network, { ...status, changed: true })
      writeResolvConf(lifecycle, status)
      return Promise.resolve()
    },
  }
}

/** A process that does just this in the container's namespaces, and ends. */
function planOf(operations: readonly NetworkOperation[]): Plan {
  return {
    create: [],
    join: [],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    operations: [...operations, { op: 'exit' }],
  }
}
