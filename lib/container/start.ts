// Not by promises of node:fs: each of them is a trip to the thread pool that costs more than all these small files.
import { existsSync, rmSync, unlinkSync } from 'node:fs'
import { compilePlan } from '../launch/compile/container.js'
import type { LaunchInput } from '../launch/compile/input.js'
import { eventMembers } from '../event/event.js'
import { JOURNAL_LIMIT } from '../event/journal.js'
import type { Plan } from '../launch/plan.js'
import type { Attachment } from '../network/attachment.js'
import { PodlingError } from '../errors.js'
import { afterUndo } from '../teardown.js'
import { fileError } from '../storage/file-error.js'
import { close } from '../sys/descriptors.js'
import { unmountVolumes } from './clear-away.js'
import { containerEvent } from './container-event.js'
import type { Restorer } from './checkpoint/restore.js'
import { cgroupMounts } from './cgroup-mounts.js'
import { launchAtBarrier } from './barrier.js'
import { beforeCommand } from './before-command.js'
import { hooksInside } from './hooks/hooks-inside.js'
import { hasHooksBefore, prepareHooks, runPoststart } from './hooks/container-hooks.js'
import { killNow } from './remove.js'
import { isHolder } from './find-pod.js'
import { holderRoot } from './holder-root.js'
import { attach, givenToMonitor, withNetworkPath, withUsersPath } from './join-network.js'
import { joinPod, type PodJoin } from './join-pod.js'
import type { Lifecycle } from './lifecycle.js'
import { mountVolumes, type MountedVolumes } from './mount-volumes.js'
import { writeNetworkState } from './network-state.js'
import { cgroupOf } from './pod-place.js'
import { usedImages } from './record.js'
import { RunLock } from './run-lock.js'
import { launchOnPluginNetworks } from './plugin-networks.js'
import { passedStreams, requireNoTerminal } from './log/pass-streams.js'
import { planLog } from './log/plan-log.js'
import { planHealth } from './health/plan-health.js'
import { planRestart } from './restart-policy.js'
import { seccompListener } from './seccomp-listener.js'
import { requireStatus } from './status.js'
import { containerStdio } from './terminal/stdio.js'
import { launchOnUserNetwork, userNetworkOf } from './user-network.js'
import { startable } from './userns/in-spec.js'
import { mountedIdMaps, ownersOf } from './userns/owners.js'
import { verifyImages } from './verify-images.js'
import { etcSources, writeEtcFiles } from './write-etc-files.js'

/**
 * Make pid 1: compile the plan, hand it to the launcher, take up the monitor. Resolves when the command runs.
 * @param lock the container's, when the caller has it and keeps it: it has just made the container, and looked at its images
 */
export async function start(container: Lifecycle, lock?: RunLock, restorer?: Restorer): Promise<void> {
  try {
    requireStatus('start', container.status, container.record.name)
    if (container.record.pod !== undefined) await container.context.pods.access.prepare(container.record)
    if (lock !== undefined) {
      await launch(container, restorer)
      return
    }
    await container.closeViews('it was started meanwhile')
    // Two hosts on one root may want to start the same container.
    const own = await RunLock.acquire(container.paths)
    if (own === undefined) throw startedElsewhere(container.record.name)
    try {
      await verifyImages(container.context, usedImages(container.record))
      await launch(container, restorer)
    } finally {
      own.release()
    }
  } catch (error) {
    throw fileError(error, `start container ${container.record.name}`)
  }
}

async function launch(container: Lifecycle, restorer: Restorer | undefined): Promise<void> {
  const begun = performance.now()
  await launchNow(container, restorer)
  if (container.record.holds === undefined) container.context.startTimes.note((performance.now() - begun) / 1000)
}

async function launchNow(container: Lifecycle, restorer: Restorer | undefined): Promise<void> {
  const { context, paths, record } = container
  if (existsSync(paths.socket)) await container.refresh()
  if (container.monitor !== undefined) throw startedElsewhere(record.name)
  requireNoTerminal(record)
  if (existsSync(paths.exitFile)) unlinkSync(paths.exitFile)
  if (record.options.health !== undefined) rmSync(paths.healthFile, { force: true })
  await takeOver(container)
  // A limit that nobody enforces, since the disk was mounted anew without, is none.
  if (record.options.quota !== undefined) context.quotas.require(`start container ${record.name}`)
  // Another runtime on this root takes its empty parents along when it closes.
  await context.cgroups.prepare()
  const joined = await joinPod(container, await withUsersPath(container, await withNetworkPath(container)))
  try {
    await launchJoined(container, joined, restorer)
  } catch (error) {
    container.early.failed(error as Error)
    throw error
  } finally {
    joined.close()
  }
}

async function launchJoined(container: Lifecycle, joined: PodJoin, restorer: Restorer | undefined): Promise<void> {
  const { context, paths, record } = container
  const attachment = await attach(container)
  const user = userNetworkOf(container)
  // Ours until they are given to the monitor.
  let held = attachment === undefined ? [] : givenToMonitor(attachment)
  try {
    const mapping = { idMaps: mountedIdMaps(context, record), owners: ownersOf(context, record) }
    const volumes = await mountVolumes(container, mapping)
    held = [...volumes.held, ...held]
    // What a bound container writes is gone with its host, so it need not be synced to disk.
    const limited = record.options.quota !== undefined
    const root = isHolder(record)
      ? { operations: holderRoot(paths, record), held: [] }
      : await context.driver.mount(record.id, { volatile: !record.options.detach, limited, ...mapping })
    held = [...root.held, ...held]
    const status = attachment?.status ?? { endpoints: [], ports: [] }
    writeNetworkState(paths.network, { ...status, changed: false })
    await writeEtcFiles(container, status)
    // Known before it runs: as long as this process lives, then as long as its own monitor does.
    const { naming } = context.networks
    const holder = { id: record.id, name: record.name, dns: record.options.dns }
    await naming.publish({ ...holder, pid: process.pid }, status.endpoints)
    const atBarrier = attachment?.atBarrier
    // One that is restored has been through those before its start.
    const hooked = restorer === undefined && hasHooksBefore(record)
    const halts = hooked || container.early.any
    const barrier = hooked ? 'before-pivot' : halts || user !== undefined || atBarrier !== undefined
    const plain = planOf(container, joined, root.operations, volumes, attachment, barrier)
    const plan = restorer === undefined ? plain : restorer.plan(container, plain)
    prepareHooks(container)
    const streams = restorer === undefined ? passedStreams(record) : [restorer.give()]
    const given = [...streams, ...joined.take(), ...held]
    held = []
    const monitor = await (user !== undefined
      ? launchOnUserNetwork(container, plan, given, user)
      : atBarrier !== undefined
        ? launchOnPluginNetworks(container, plan, given, atBarrier)
        : halts
          ? launchAtBarrier(context.launcher, plan, given, (monitor) => beforeCommand(container, monitor))
          : context.launcher.launch(plan, given))
    await restorer?.finish(container, monitor)
    container.follow(monitor, true)
    if (user === undefined && atBarrier === undefined)
      naming.follow({ ...holder, pid: monitor.monitorPid }, status.endpoints)
    if (restorer === undefined) await afterStart(container)
    // Nobody need wait for it: a volume that is used again before it is on the disk is looked into once more.
    context.volumes.use.markFilled(volumes.first).catch(() => undefined)
  } catch (error) {
    for (const fd of held) close(fd)
    // Of a monitor that was killed before it ran: it is no container that has run.
    rmSync(`${paths.exitFile}.new`, { force: true })
    // The monitor gives all of it back, if it came so far; to look is to be sure.
    const undone = await afterUndo(error, () => unmountVolumes(context, record))
    if (attachment === undefined) throw undone
    throw await afterUndo(undone, async () => {
      await context.networks.release(record.id)
      await context.networks.leavePlugins(record.id)
    })
  }
}

/** @throws PodlingError `HOOK_FAILED`; it doesn't run any more then */
async function afterStart(container: Lifecycle): Promise<void> {
  const { monitor } = container
  if (monitor === undefined) return
  try {
    await runPoststart(container, monitor.pid)
  } catch (error) {
    throw await afterUndo(error, () => killNow(container))
  }
}

/** A container is bound to the process that starts it, whichever made it. */
async function takeOver(container: Lifecycle): Promise<void> {
  const { context, record } = container
  if (record.owner === context.owner) return
  const { records } = context
  const taken = { ...record, owner: context.owner }
  await context.database.transaction(() => {
    if (records.get(record.id) === undefined) {
      throw new PodlingError('INVALID_STATE', `start container ${record.name}: another process has removed it`)
    }
    void records.put(record.id, taken)
  })
  container.record = taken
}

function startedElsewhere(name: string): PodlingError {
  return new PodlingError('INVALID_STATE', `start container ${name}: another process has started it`)
}

function planOf(
  container: Lifecycle,
  { spec, owned, peer, sources }: PodJoin,
  root: LaunchInput['root'],
  volumes: MountedVolumes,
  attachment: Attachment | undefined,
  barrier: boolean | 'before-pivot',
): Plan {
  const { context, record, paths } = container
  const { options } = record
  const cgroup = context.cgroups.plan(cgroupOf(record), spec.linux?.resources ?? {}, record.holds?.resources)
  const log = planLog(record, paths)
  return compilePlan({
    spec: startable(spec, existsSync('/dev/mqueue'), owned),
    root,
    mountSources: [...etcSources(container), ...sources, ...volumes.sources],
    cgroup,
    cgroupMounts: cgroupMounts(context.cgroups.mode, cgroup, `/${context.cgroupParent}/${cgroupOf(record)}`),
    stdio: containerStdio(record),
    monitor: {
      lifetime: options.detach ? 'detached' : 'bound',
      socket: paths.socket,
      exitFile: paths.exitFile,
      ...(log === undefined ? {} : { log }),
      journal: {
        path: context.journal.paths.current,
        limit: JOURNAL_LIMIT,
        members: eventMembers(containerEvent(record)),
      },
      ...planRestart(options.restart, options.health?.onFailure === 'restart'),
      ...planHealth(record, spec, paths),
    },
    init: options.init,
    ...(record.account === undefined ? {} : { account: record.account }),
    hooks: hooksInside(record, paths),
    ...seccompListener({ id: record.id, spec }, paths.runDirectory),
    hold: isHolder(record),
    confined: context.host.confinement !== undefined,
    ...(peer === undefined ? {} : { peer }),
    barrier,
    ...(attachment === undefined ? {} : { network: attachment.launch }),
  })
}
