/** A launch with work in its middle: all of the container is there, and its command waits. */
import { constants } from 'node:os'
import type { Launcher } from '../launch/launcher.js'
import type { Monitor } from '../launch/monitor.js'
import type { Plan } from '../launch/plan.js'

/**
 * @param plan with a barrier
 * @param given descriptors, as of {@link Launcher.launch}
 * @param work what is done while the container stands there; its pid can't end meanwhile but by a kill
 * @throws PodlingError as {@link Launcher.launch}, and what `work` throws; nothing of the container is left then
 */
export async function launchAtBarrier(
  launcher: Launcher,
  plan: Plan,
  given: readonly number[],
  work: (monitor: Monitor) => Promise<void>,
): Promise<Monitor> {
  const monitor = await launcher.launch(plan, given)
  try {
    await work(monitor)
    await monitor.proceed()
    return monitor
  } catch (error) {
    await monitor.kill(constants.signals.SIGKILL, { all: true, forGood: true }).catch(() => undefined)
    // All of it is gone then; how it ended is no news.
    await monitor.exited.catch(() => undefined)
    monitor.close()
    throw error
  }
}
