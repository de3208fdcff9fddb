/** The dialogue with the CRIU that stands in the place of a container's pid 1, up to the moment when that is there. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import { close } from '../../sys/descriptors.js'
import type { CriuChannel } from './criu-channel.js'
import { failureReason } from './criu.js'
import { endOf } from './criu-log.js'
import { IGNORE_CGROUPS, type CriuOptions, type CriuResponse } from './criu-messages.js'
import type { CheckpointDescription } from './description.js'
import { converse } from './dialogue.js'
import { mountKey, NETWORK_KEY } from './dump-options.js'
import { mountPlace } from './restore-plan.js'
import { openInput, PIPE } from './streams.js'

/** Where CRIU finds the container's network namespace among its descriptors. */
export const NETWORK_FD = 4

/** The file of CRIU's log, in the container's directory. */
const LOG = 'restore.log'

export interface ResumeInput {
  /** For messages: `restore container web`. */
  readonly what: string
  readonly channel: CriuChannel
  readonly description: CheckpointDescription
  /** Directory of CRIU's images. */
  readonly images: string
  /** Directory for CRIU's log. */
  readonly directory: string
  /** Where the root stands. */
  readonly root: string
  /** Where the mounts from outside stand. */
  readonly mounts: string
  readonly tcpEstablished: boolean
  /** It has a terminal, whose master becomes the monitor's. */
  readonly terminal: boolean
  /** Its input ends with the last who is attached. */
  readonly inputOnce: boolean
  /** What CRIU has made, by pids on the host. */
  readonly processes: () => Promise<number[]>
  /** Looks at them before they run on; what it throws ends them. */
  readonly inspect: (pids: readonly number[]) => Promise<void>
}

/** @param monitor of the container whose pid 1 is CRIU @throws PodlingError `CHECKPOINT_FAILED` with CRIU's own reason */
export async function resume(monitor: Monitor, input: ResumeInput): Promise<void> {
  const { channel, what } = input
  const images = await open(input.images, 'r')
  const directory = await open(input.directory, 'r')
  const restored: { pid?: number; master?: number; adopted?: true } = {}
  try {
    const answer = await converse(channel, restoreOptions(input, images.fd, directory.fd), async (step) => {
      if (step.master !== undefined && restored.master !== undefined) {
        close(step.master)
        throw new PodlingError(
          'CHECKPOINT_FAILED',
          `${what}: it has several terminals of which the masters are outside; end what was run in it on a terminal before the checkpoint`,
        )
      }
      if (step.master !== undefined) restored.master = step.master
      if (step.script === 'post-restore' && step.pid !== undefined) restored.pid = step.pid
      // All of it is there, with its final rights, and none of it runs yet.
      if (step.script !== 'pre-resume' || restored.pid === undefined) return
      const pids = await input.processes()
      await input.inspect(pids)
      await adopt(monitor, input, restored.pid, restored.master, pids)
      restored.adopted = true
    })
    if (answer?.success !== true) throw await failure(what, answer, join(input.directory, LOG))
    if (restored.adopted) return
    throw new PodlingError('CHECKPOINT_FAILED', `${what}: CRIU let it run without asking, so it was ended`)
  } finally {
    if (restored.master !== undefined) close(restored.master)
    await images.close()
    await directory.close()
  }
}

/** How much of CRIU's log an error keeps, in bytes: the log itself goes with the container, of which nothing is left. */
const KEPT = 4096

async function failure(what: string, answer: CriuResponse | undefined, logFile: string): Promise<PodlingError> {
  const reason = await failureReason(answer, logFile)
  const end = await endOf(logFile, KEPT)
  return new PodlingError('CHECKPOINT_FAILED', `${what}: CRIU failed: ${reason}`, {
    ...(end === undefined ? {} : { cause: new Error(`the end of CRIU's log:\n${end}`) }),
  })
}

async function adopt(
  monitor: Monitor,
  { what, description, inputOnce }: ResumeInput,
  pid: number,
  master: number | undefined,
  pids: readonly number[],
): Promise<void> {
  if (master !== undefined) return monitor.adoptRestored(pid, { kind: 'terminal', fd: master })
  if (description.input === undefined) return monitor.adoptRestored(pid)
  const end = await openInput(what, description.input, pids)
  try {
    await monitor.adoptRestored(pid, { kind: inputOnce ? 'input-once' : 'input', fd: end.fd })
  } finally {
    await end.close()
  }
}

function restoreOptions(input: ResumeInput, imagesDirFd: number, workDirFd: number): CriuOptions {
  const { description, root, mounts, tcpEstablished, terminal } = input
  const streams = description.streams.flatMap((key, index) => (PIPE.test(key) ? [{ key, fd: index + 1 }] : []))
  return {
    imagesDirFd,
    workDirFd,
    logFile: LOG,
    logLevel: 4,
    root,
    rstSibling: true,
    notifyScripts: true,
    tcpEstablished,
    fileLocks: true,
    extUnixSk: true,
    orphanPtsMaster: terminal,
    manageCgroups: true,
    manageCgroupsMode: IGNORE_CGROUPS,
    external: description.mounts.map((target, index) => `mnt[${mountKey(target)}]:${mountPlace(mounts, index)}`),
    inheritFd: [...streams, ...(description.ownNetwork ? [{ key: NETWORK_KEY, fd: NETWORK_FD }] : [])],
  }
}
