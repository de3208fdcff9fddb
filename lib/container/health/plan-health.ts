/** How the monitor is to check a container. Pure. */
import { compileExec, compileProbe } from '../../launch/compile/exec.js'
import type { Spec } from '../../launch/oci-spec.js'
import type { Plan, PlanHealth } from '../../launch/plan.js'
import type { ContainerPaths, ContainerRecord } from '../record.js'
import type { HealthTest } from './parse-health.js'

export function planHealth(
  { options }: ContainerRecord,
  spec: Spec,
  { healthFile }: ContainerPaths,
): { readonly health?: PlanHealth } {
  const { health, stopSignal, stopTimeout } = options
  if (health === undefined) return {}
  const { test, ...times } = health
  return { health: { ...times, stopSignal, stopTimeout, file: healthFile, check: planCheck(test, spec) } }
}

/** The process of a check; of the container's own user, and in the place of its program. */
function planCheck(test: HealthTest, spec: Spec): Plan {
  const own = spec.process
  if (own === undefined) throw new TypeError('a container has a process')
  if (test.kind !== 'command') return compileProbe(spec, own, test)
  const { consoleSize: _, ...process } = own
  return compileExec(spec, { ...process, terminal: false, args: [...test.argv] }, checkStdio)
}

const checkStdio = { stdin: 'null', stdout: 'pass', stderr: 'pass' } as const
