import type { LinuxResources } from '../../cgroup/resources.js'
import { PodlingError } from '../../errors.js'
import { faultFinder, formatFaults } from '../../schema/faults.js'
import { settleAll } from '../../teardown.js'
import type { Lifecycle } from '../lifecycle.js'
import { findPod, podFacts } from '../find-pod.js'
import { limitFaults, type PodFacts } from '../parse-pod.js'
import { cgroupOf } from '../pod-place.js'
import { optionKeywords } from '../options-schema.js'
import { changeRecord } from '../change-record.js'
import { requireStatus } from '../status.js'
import { givenAnew } from './given-anew.js'
import type { LimitOptions } from './options.js'
import { limitContradictions, normalizeLimits, type NormalizedLimits } from './parse-limits.js'
import { limitResources, mergeResources } from './resources.js'
import { limitProperties } from './schema.js'

const findFaults = faultFinder(
  { type: 'object', member: 'limit', additionalProperties: false, properties: limitProperties },
  optionKeywords,
)

/**
 * Give a container other limits: all or none, those that it runs under and those that it starts with the next time.
 * @throws PodlingError `INVALID_OPTION` with all mistakes at once, `DEVICE_NOT_FOUND`, `CGROUP_CONTROLLER_MISSING`,
 * `LIMIT_REFUSED` by the kernel; the old ones stand then
 */
export async function update(container: Lifecycle, options: LimitOptions): Promise<void> {
  const { context, record } = container
  requireStatus('update', container.status, record.name)
  const current = record.spec.linux?.resources ?? {}
  const pod = record.pod && podFacts(findPod(context, record.pod.id))
  const asked = limitResources(parse(options, current, pod))
  const withMemory = asked.memory?.limit !== undefined || asked.memory?.swap !== undefined
  context.cgroups.plan(cgroupOf(record), mergeResources(current, asked))
  const undo =
    container.monitor === undefined
      ? undefined
      : await context.cgroups.update(cgroupOf(record), {
          ...asked,
          ...(withMemory ? { memory: { ...asked.memory, checkBeforeUpdate: true } } : {}),
        })
  try {
    await changeRecord(container, 'update', (now) => ({
      ...now,
      ...(now.given === undefined ? {} : { given: givenAnew(now.given, options) }),
      spec: {
        ...now.spec,
        linux: { ...now.spec.linux, resources: mergeResources(now.spec.linux?.resources ?? {}, asked) },
      },
    }))
  } catch (error) {
    if (undo !== undefined) await settleAll(`give container ${record.name} its old limits again`, [undo()])
    throw error
  }
  container.tell('update')
}

function parse(options: LimitOptions, { memory }: LinuxResources, pod: PodFacts | undefined): NormalizedLimits {
  const misshapen = findFaults(options)
  const limits = misshapen.length > 0 ? undefined : normalizeLimits(options)
  const faults =
    limits === undefined
      ? misshapen
      : [...limitContradictions(options, inForce(limits, memory)), ...(pod ? limitFaults(options, pod) : [])]
  if (limits !== undefined && faults.length === 0) return limits
  throw new PodlingError('INVALID_OPTION', formatFaults('update a container', faults))
}

/** What isn't given anew is as it was. */
function inForce(limits: NormalizedLimits, memory: LinuxResources['memory']): NormalizedLimits {
  const reservation = limits.memoryReservation ?? memory?.reservation
  return {
    ...limits,
    memory: limits.memory ?? memory?.limit,
    ...(reservation === undefined ? {} : { memoryReservation: reservation }),
  }
}
