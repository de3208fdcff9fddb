/** A network namespace in the place of one that is gone, for those who must be shown one. */
import { mkdirSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import type { Plan } from '../launch/plan.js'
import type { NetworkOperation } from '../network/attachment.js'
import type { StandIn } from '../network/container-access.js'
import type { ContainerContext } from './context.js'
import { randomId } from './names.js'
import { runName } from './record.js'

/** A process that does this in a network namespace of its own, and stays there until it is told to end. */
export async function standIn(
  { launcher, runRoot }: ContainerContext,
  operations: readonly NetworkOperation[],
): Promise<StandIn> {
  // One that nobody knows, as a container that no record speaks of: the next open removes it, if this process can't.
  const directory = `${runRoot}/c/${runName(randomId())}`
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  try {
    const monitor = await launcher.launch(planOf(operations, directory), [])
    return {
      netns: `/proc/${String(monitor.pid)}/ns/net`,
      async end() {
        await monitor.kill(constants.signals.SIGKILL).catch(() => undefined)
        await monitor.exited.catch(() => undefined)
        monitor.close()
        rmSync(directory, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

function planOf(operations: readonly NetworkOperation[], directory: string): Plan {
  return {
    create: ['pid', 'network'],
    join: [],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    operations: [...operations, { op: 'barrier' }, { op: 'exit' }],
    monitor: { lifetime: 'bound', socket: `${directory}/monitor.sock`, exitFile: `${directory}/exit` },
  }
}
