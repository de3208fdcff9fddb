/** A {@link Plan} as the bytes that native/plan.h describes; the header there draws the layout. Pure. */
import type { Plan, PlanCgroup, PlanHealth, PlanLog, PlanMonitor } from '../plan.js'
import {
  healthActions,
  lifetimes,
  logKinds,
  namespaceFlags,
  noPid,
  opcodes,
  planMagic,
  planVersion,
  restartPolicies,
  stdioModes,
} from './numbers.js'
import { writeFields } from './operation.js'
import { Writer } from './writer.js'

/**
 * Encode a plan, with its size (u32) in front, as it goes over the stream to the new process.
 * @throws PodlingError `INVALID_OPTION` when a text of it holds a NUL byte.
 */
export function encodePlan(plan: Plan): Buffer {
  const out = new Writer()
  out.sized(() => {
    out.u32(planMagic)
    out.u32(planVersion)
    out.u32(plan.create.reduce((flags, type) => flags | namespaceFlags[type], 0))
    out.list(plan.join, (join) => {
      out.u32(namespaceFlags[join.type])
      out.text(join.path)
    })
    out.maybe(plan.peer)
    out.maybe(plan.listener?.path)
    if (plan.listener !== undefined) {
      out.text(plan.listener.state)
      out.u32(plan.listener.container ?? 0)
    }
    out.u8(plan.idMaps !== undefined)
    if (plan.idMaps !== undefined) {
      out.text(plan.idMaps.uid)
      out.text(plan.idMaps.gid)
    }
    writeCgroup(out, plan.cgroup)
    out.u8(stdioModes[plan.stdio.stdin])
    out.u8(stdioModes[plan.stdio.stdout])
    out.u8(stdioModes[plan.stdio.stderr])
    out.maybe(plan.streamLabel)
    out.u8(plan.monitor !== undefined)
    if (plan.monitor !== undefined) writeMonitor(out, plan.monitor)
    out.maybe(plan.network?.space)
    out.list(plan.network?.links ?? [], ({ message, pidAt = noPid }) => {
      out.blob(message)
      out.u32(pidAt)
    })
    out.blobs(plan.network?.teardown ?? [])
    out.blobs(plan.network?.unlinks ?? [])
    out.list(plan.operations, (operation) => {
      out.u32(opcodes[operation.op])
      out.sized(() => {
        writeFields(out, operation)
      })
    })
  })
  return out.take()
}

function writeCgroup(out: Writer, cgroup: PlanCgroup): void {
  out.texts(cgroup.shared ?? [])
  out.texts(cgroup.directories)
  out.list(cgroup.writes, (write) => {
    out.text(write.path)
    out.text(write.value)
    out.u8(write.optional ?? false)
  })
  out.maybe(cgroup.into)
  out.texts(cgroup.attach)
  out.maybe(cgroup.unified)
  out.maybe(cgroup.freezer)
  out.maybe(cgroup.oomEvents)
  out.blob(cgroup.deviceProgram ?? new Uint8Array())
}

function writeMonitor(out: Writer, { lifetime, socket, exitFile, log, journal, restart, health }: PlanMonitor): void {
  out.u8(lifetimes[lifetime])
  out.text(socket)
  out.text(exitFile)
  writeLog(out, log)
  out.u8(journal !== undefined)
  if (journal !== undefined) {
    out.text(journal.path)
    out.u32(journal.limit)
    out.text(journal.members)
  }
  const { policy = 'never', maximum = 0 } = restart ?? {}
  out.u8(restartPolicies[policy])
  out.u32(maximum)
  writeHealth(out, health)
}

function writeLog(out: Writer, log: PlanLog | undefined): void {
  out.u8(log === undefined ? 0 : logKinds[log.driver])
  if (log === undefined) return
  out.u8(log.stopsWhenFull)
  out.text(log.target)
  out.text(log.fields)
  out.u64(BigInt(log.maxSize ?? 0))
  out.u32(log.maxFiles)
}

function writeHealth(out: Writer, health: PlanHealth | undefined): void {
  out.u8(health !== undefined)
  if (health === undefined) return
  const { interval, timeout, startPeriod, startInterval } = health
  for (const time of [interval, timeout, startPeriod, startInterval]) out.u64(BigInt(time))
  out.u32(health.retries)
  out.u8(healthActions[health.onFailure])
  out.u32(health.stopSignal)
  out.u64(BigInt(Math.ceil(health.stopTimeout)))
  out.u8(health.whenRestored ?? false)
  out.text(health.file)
  // Without its size, which a blob has already.
  out.blob(encodePlan(health.check).subarray(4))
}
