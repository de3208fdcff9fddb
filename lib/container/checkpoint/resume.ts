/** The dialogue with the CRIU that stands in the place of a container's pid 1, up to the moment when that is there. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import { close } from '../../sys/libc.js'
import type { CriuChannel } from './criu-channel.js'
import { criuFailure } from './criu.js'
import { IGNORE_CGROUPS, type CriuOptions } from './criu-messages.js'
import type { CheckpointDescription } from './description.js'
import { converse } from './dialogue.js'
import { mountKey, NETWORK_KEY } from './dump-options.js'
import { mountPlace } from './restore-plan.js'

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
  /** Looks at the processes before they run on; what it throws ends them. */
  readonly inspect: () => Promise<void>
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
      await input.inspect()
      await monitor.adoptRestored(restored.pid, restored.master)
      restored.adopted = true
    })
    if (answer?.success !== true) throw await criuFailure(what, answer, join(input.directory, LOG))
    if (restored.adopted) return
    throw new PodlingError('CHECKPOINT_FAILED', `${what}: CRIU let it run without asking, so it was ended`)
  } finally {
    if (restored.master !== undefined) close(restored.master)
    await images.close()
    await directory.close()
  }
}

function restoreOptions(input: ResumeInput, imagesDirFd: number, workDirFd: number): CriuOptions {
  const { description, root, mounts, tcpEstablished, terminal } = input
  const streams = description.streams.flatMap((key, index) =>
    /^pipe:\[\d+\]$/.test(key) ? [{ key, fd: index + 1 }] : [],
  )
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
