/**
 * How the kernel is to treat a process among others: config.md, "Scheduler", "I/O Priority", config-linux.md, "Memory Policy",
 * "Personality". Pure.
 */
import type { Spec, SpecLinux, SpecProcess, SpecScheduler } from '../oci-spec.js'
import type { Operation } from '../operation.js'
import {
  ioPriorityClasses,
  memoryPolicyFlags,
  memoryPolicyModes,
  personalities,
  schedulerFlags,
  schedulerPolicies,
} from '../scheduling-numbers.js'

/** @param exec whether the process is brought into a container, as `execCPUAffinity` is of those alone */
export function schedulingOperations({ linux = {} }: Spec, process: SpecProcess, exec: boolean): Operation[] {
  const { scheduler, ioPriority, execCPUAffinity } = process
  return [
    ...personalityOperations(linux),
    ...memoryPolicyOperations(linux),
    ...(exec && execCPUAffinity !== undefined
      ? [
          {
            op: 'affinity',
            initial: bitsOf(execCPUAffinity.initial ?? ''),
            final: bitsOf(execCPUAffinity.final ?? ''),
          } as const,
        ]
      : []),
    ...(ioPriority === undefined
      ? []
      : [
          {
            op: 'io-priority',
            value: (ioPriorityClasses[ioPriority.class] << 13) | (ioPriority.priority ?? 0),
          } as const,
        ]),
    ...(scheduler === undefined ? [] : [schedulerOperation(scheduler)]),
  ]
}

function personalityOperations({ personality }: SpecLinux): Operation[] {
  return personality === undefined ? [] : [{ op: 'personality', persona: personalities[personality.domain] }]
}

function memoryPolicyOperations({ memoryPolicy }: SpecLinux): Operation[] {
  if (memoryPolicy === undefined) return []
  const { mode, nodes = '', flags = [] } = memoryPolicy
  return [
    { op: 'memory-policy', mode: memoryPolicyModes[mode] | either(flags, memoryPolicyFlags), nodes: bitsOf(nodes) },
  ]
}

function schedulerOperation(scheduler: SpecScheduler): Operation {
  const { policy, flags = [], nice = 0, priority = 0, runtime = 0, deadline = 0, period = 0 } = scheduler
  return {
    op: 'scheduler',
    policy: schedulerPolicies[policy],
    flags: BigInt(either(flags, schedulerFlags)),
    nice,
    priority,
    runtime: BigInt(runtime),
    deadline: BigInt(deadline),
    period: BigInt(period),
  }
}

function either<Name extends string>(names: readonly Name[], numbers: Readonly<Record<Name, number>>): number {
  return names.reduce((bits, name) => bits | numbers[name], 0)
}

/** What a set of the kernel can hold at most. */
const lastNumber = 8191

/** A list such as `0-3,7` (cpuset(7), "List format") as a set: a bit each, the lowest first. */
export function bitsOf(list: string): Uint8Array {
  const numbers = list.split(',').flatMap((part) => {
    const [, first = '', last = first] = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part) ?? []
    if (first === '') return []
    const [from, to] = [Number(first), Math.min(Number(last), lastNumber)]
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index)
  })
  const bits = new Uint8Array(Math.ceil((Math.max(-1, ...numbers) + 1) / 64) * 8)
  for (const number of numbers) bits[number >> 3]! |= 1 << (number & 7)
  return bits
}
