/**
 * `restore ID`: a container made of what CRIU has dumped, in the place of a program that would begin.
 *
 *   record without a pid ─▶ helper, cgroups, CRIU where pid 1 would be ─▶ processes, children of the helper ─▶ record with its pid
 *
 * CRIU is in the container's cgroups and has a mount namespace of its own, in which the root stands and beside it all that comes
 * from outside. Whoever gives the images gives the spec as well, so they are believed as the spec is. Up to the end the death of
 * this process takes all of it along but the record.
 */
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runHooks } from '../container/hooks/run-hooks.js'
import { hookState } from '../container/hooks/hook-state.js'
import { CriuChannel } from '../container/checkpoint/criu-channel.js'
import type { CriuOptions } from '../container/checkpoint/criu-messages.js'
import { converse, type RestoreStep } from '../container/checkpoint/dialogue.js'
import type { ExitRecord } from '../launch/protocol.js'
import type { Bundle } from './bundle.js'
import { DESCRIPTORS, externalKeys } from './checkpoint.js'
import { checkConsole } from './console.js'
import type { Context } from './context.js'
import { criuFailed } from './criu-failure.js'
import { criuDirectories, criuOptions, criuProgram } from './criu-flags.js'
import { destroy } from './delete.js'
import { Helper } from './detached.js'
import { hostHooks } from './host-hooks.js'
import { raiseLoopback } from './loopback.js'
import { admittedBundle, newRecord } from './make.js'
import { OciError } from './oci-error.js'
import { prepare } from './prepare.js'
import { begun, streamsOf } from './process-of.js'
import { criuPlan, givenMounts, makeMountPoints, NETWORK_FD } from './restore-plan.js'
import { passSignals } from './run.js'
import { replaceFile } from './store.js'
import { checkVacant } from './vacant.js'

/** Of CRIU, in its work directory; engines look for it there. */
const LOG = 'restore.log'

/** @returns the exit status of its pid 1, or 0 where it is left alone */
export async function restore(context: Context, id: string): Promise<number> {
  const { store, line, log } = context
  const detaches = line.has('detach')
  const bundle = admittedBundle(context)
  const socket = checkConsole(line.value('console-socket'), bundle.spec.process, detaches)
  const { helper, stop } = await store.create(id, async () => {
    const made = await makeOfImages(context, id, bundle, { socket, stays: !detaches })
    if (detaches) await made.helper.end()
    return made
  })
  if (detaches) return 0
  const ending: ExitRecord = await helper.exited()
  stop()
  await helper.end()
  await store.change(id, (latest) =>
    destroy(store, latest, (message) => {
      log.warn(message)
    }),
  )
  return ending.exitCode
}

interface Restored {
  readonly helper: Helper
  /** No signal is passed on any more. */
  readonly stop: () => void
}

async function makeOfImages(
  context: Context,
  id: string,
  bundle: Bundle,
  { socket, stays }: { readonly socket: string | undefined; readonly stays: boolean },
): Promise<Restored> {
  const { store, line, log } = context
  const criu = criuProgram(context, `restore container ${id}`)
  const { images, work } = criuDirectories(line)
  const streams = readStreams(join(images, DESCRIPTORS))
  const prepared = await prepare(id, bundle, { keepsKeyring: false })
  await checkVacant(prepared.cgroup, (message) => {
    log.warn(message)
  })
  const record = newRecord(id, bundle, prepared)
  store.writeSpec(id, bundle.spec)
  store.write(record)
  const place = join(store.directory(id), 'outside')
  mkdirSync(place, { mode: 0o700 })
  await makeMountPoints(prepared.plan)
  const channel = CriuChannel.open()
  const helper = new Helper(criuPlan(prepared.plan, criu, place), { console: socket, passed: [channel.theirs] })
  const directories = [images, work].map((path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY))
  let master: number | undefined
  let stop = (): void => undefined
  try {
    channel.given()
    await helper.started()
    const options: CriuOptions = {
      ...criuOptions(line, bundle.spec.annotations),
      ...labelOptions(context),
      imagesDirFd: directories[0]!,
      workDirFd: directories[1]!,
      logFile: LOG,
      root: bundle.rootfs,
      rstSibling: true,
      notifyScripts: true,
      evasiveDevices: true,
      externalMounts: givenMounts(prepared.plan, bundle.rootfs, place),
      inheritFd: [
        ...streams.flatMap((key, fd) => (key.startsWith('pipe:') ? [{ key, fd }] : [])),
        ...(joinsNetwork(bundle) ? [{ key: externalKeys['network']!.key, fd: NETWORK_FD }] : []),
      ],
    }
    let pid: number | undefined
    const answer = await converse(channel, options, async (step) => {
      if (step.script === 'post-restore') pid = step.pid
      if (step.master !== undefined) master = step.master
      await setUpNetwork(step, id, bundle)
    })
    if (answer?.success !== true || pid === undefined) throw await criuFailed('restore', answer, join(work, LOG))
    // Pipes are ours now, wherever it has them: by their names the next restore replaces them.
    const given = streamsOf(process.pid)
    const made = {
      ...record,
      ...begun(pid),
      streams: streams.map((key, fd) => (key.startsWith('pipe:') ? given[fd]! : key)),
    }
    const pidFile = line.value('pid-file')
    if (pidFile !== undefined) replaceFile(pidFile, String(pid), 0o644)
    // Before it is known to run: whoever sees that may tell us what it is to hear.
    if (stays) stop = passSignals(made)
    store.write(made)
    await helper.restored(pid, master, stays)
    return { helper, stop }
  } catch (error) {
    stop()
    await helper.abandon()
    throw error
  } finally {
    channel.close()
    for (const fd of directories) closeSync(fd)
    if (master !== undefined) closeSync(master)
    rmSync(place, { recursive: true, force: true })
  }
}

/** @throws OciError in the words of runc */
function readStreams(path: string): string[] {
  let text
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new OciError(`open ${path}: no such file or directory`, { cause: error })
  }
  let streams: unknown
  try {
    streams = JSON.parse(text)
  } catch (error) {
    throw new OciError(`${path}: ${(error as Error).message}`, { cause: error })
  }
  if (Array.isArray(streams) && streams.length <= 3 && streams.every((key) => typeof key === 'string')) return streams
  throw new OciError(`${path}: must be a list of what its standard streams were`)
}

function joinsNetwork({ spec }: Bundle): boolean {
  return (spec.linux?.namespaces ?? []).some(({ type, path }) => type === 'network' && path !== undefined)
}

/** CRIU has made the namespaces, and no process in them yet that would run: what hooks do is theirs to find. */
async function setUpNetwork({ script, pid }: RestoreStep, id: string, { path, spec }: Bundle): Promise<void> {
  if (script !== 'setup-namespaces' || pid === undefined) return
  if ((spec.linux?.namespaces ?? []).some((one) => one.type === 'network' && one.path === undefined))
    await raiseLoopback(pid)
  for (const stage of ['prestart', 'createRuntime'] as const) {
    await runHooks(stage, hostHooks(spec.hooks, stage), { ...hookState({ id, spec }, path, 'creating'), pid })
  }
}

function labelOptions({ line }: Context): Partial<CriuOptions> {
  const profile = line.value('lsm-profile')
  const context = line.value('lsm-mount-context')
  return {
    ...(profile ? { lsmProfile: profile } : {}),
    ...(context ? { lsmMountContext: context } : {}),
  }
}
