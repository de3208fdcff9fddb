import { PodlingError } from '../../errors.js'
import type { HealthCheckResult } from '../../launch/health.js'
import type { Lifecycle } from '../lifecycle.js'
import { requireStatus } from '../status.js'

/** Have the monitor do one check now. */
export async function healthcheck(container: Lifecycle): Promise<HealthCheckResult> {
  requireHealth(container, 'check the health of')
  requireStatus('healthcheck', container.status, container.record.name)
  const monitor = container.requireMonitor('check the health of')
  await monitor.checkHealth()
  const result = monitor.health?.log.at(-1)
  if (result !== undefined) return result
  throw new PodlingError('INVALID_STATE', `check the health of container ${container.record.name}: it has ended`)
}

/** @throws PodlingError `INVALID_STATE` for a container that nobody checks */
export function requireHealth({ record }: Lifecycle, verb: string): void {
  if (record.options.health !== undefined) return
  throw new PodlingError(
    'INVALID_STATE',
    `${verb} container ${record.name}: it has no health check; make it with the option health, or of an image that has one`,
  )
}
