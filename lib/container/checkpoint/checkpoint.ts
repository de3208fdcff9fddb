import { createWriteStream } from 'node:fs'
import { mkdir, open, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { PodlingError } from '../../errors.js'
import type { Monitor } from '../../launch/monitor.js'
import { checkKnown } from '../../schema/known-options.js'
import { fileError } from '../../storage/file-error.js'
import { parseMountInfo } from '../../sys/mountinfo.js'
import { changesAsLayer } from '../changes-as-layer.js'
import type { Lifecycle } from '../lifecycle.js'
import { passes } from '../log/pass-streams.js'
import { requireStatus } from '../status.js'
import { askCriu } from './criu.js'
import { findCriu } from './find-criu.js'
import { describeCheckpoint, formatDescription } from './description.js'
import { dumpOptions } from './dump-options.js'
import { FILES } from './files.js'
import { forgetCheckpoint, noteCheckpoint } from './in-progress.js'
import { placeCheckpoint, planPlace } from './place.js'
import { digestsOf, sealingKey } from './seal.js'

export interface CheckpointOptions {
  /** Where to: the path of a directory, or of an archive when it ends in `.tar`. Nothing may be there. */
  readonly path: string
  /** Let it go on afterwards; else it is killed, once all is on the disk. @default false */
  readonly leaveRunning?: boolean
  /** Keep its TCP connections; without it one that has any can't be dumped (criu(8), `--tcp-established`). @default false */
  readonly tcpEstablished?: boolean
  /** Keep the locks of files that it holds (`--file-locks`). @default false */
  readonly fileLocks?: boolean
}

/** A checkpoint that is on the disk. */
export interface CheckpointResult {
  /** Absolute. */
  readonly path: string
}

/**
 * Write down a container as it is: its processes and their memory by CRIU, and what it has changed of its files.
 *
 * It is frozen by its cgroup for all of that, so that memory and files are of one moment, and ended only when all of it
 * is on the disk: whatever fails before, it goes on. When we are killed meanwhile the next open lets it go on, and removes
 * what is half made. A CRIU that is killed may take the container along: it works inside of its processes.
 */
export async function checkpoint(container: Lifecycle, options: CheckpointOptions): Promise<CheckpointResult> {
  const { context, record } = container
  const what = `checkpoint container ${record.name}`
  checkKnown(what, options, { path: true, leaveRunning: true, tcpEstablished: true, fileLocks: true })
  requireStatus('checkpoint', container.status, record.name)
  const monitor = container.requireMonitor('checkpoint')
  await refuseUndumpable(what, container, monitor)
  const criu = findCriu(context, what)
  const paused = container.status === 'paused'
  const { path, staging } = await planPlace(what, options.path)
  const lock = await noteCheckpoint(container, { staging, paused })
  try {
    await mkdir(staging, { mode: 0o700 })
    if (!paused) await monitor.freeze()
    try {
      await dump(container, monitor, { criu, lock: lock.fd, staging }, options)
      await placeCheckpoint(staging, path)
    } catch (error) {
      // A CRIU that was killed may have left it either way.
      await (paused ? monitor.freeze() : monitor.thaw()).catch(() => undefined)
      throw error
    }
    container.tell('checkpoint')
    if (options.leaveRunning !== true) {
      await monitor.kill(constants.signals.SIGKILL, { all: true })
      await container.ended
    } else if (!paused) await monitor.thaw()
    return { path }
  } catch (error) {
    throw fileError(error, what)
  } finally {
    await rm(staging, { recursive: true, force: true })
    await forgetCheckpoint(container.paths)
    lock.release()
  }
}

/** The file of CRIU's log, in the container's directory. */
const LOG = 'checkpoint.log'

/** What CRIU would dump, and could not restore. */
async function refuseUndumpable(what: string, { record }: Lifecycle, monitor: Monitor): Promise<void> {
  const program = record.options.init ? await readlink(`/proc/${String(monitor.pid)}/exe`).catch(() => '') : ''
  const hindrances = [
    ...(program.startsWith('/memfd:')
      ? ["init: it runs from memory, as it may not be executed in the container's /dev"]
      : []),
    ...(record.pod === undefined ? [] : ['pod: its namespaces are those of others, too']),
    ...(record.options.userns === undefined
      ? []
      : ["userns: CRIU can't map the ids of a root that is mounted by itself"]),
    ...(passes(record) ? ['logDriver: its streams are those of this process'] : []),
  ]
  if (hindrances.length === 0) return
  throw new PodlingError(
    'CHECKPOINT_FAILED',
    `${what}: it can't be restored as it was made; make it without ${hindrances.join('; ')}`,
  )
}

async function dump(
  container: Lifecycle,
  monitor: Monitor,
  { criu, lock, staging }: { readonly criu: string; readonly lock: number; readonly staging: string },
  options: CheckpointOptions,
): Promise<void> {
  const { context, record, paths } = container
  const pid = String(monitor.pid)
  const images = join(staging, FILES.images)
  await mkdir(images, { mode: 0o700 })
  const [mountinfo, network, hosts] = await Promise.all([
    readFile(`/proc/${pid}/mountinfo`, 'utf8'),
    readlink(`/proc/${pid}/ns/net`),
    readlink('/proc/self/ns/net'),
  ])
  const mounts = parseMountInfo(mountinfo)
  const { unified, freezer = unified } = context.cgroups.plan(record.id, {})
  const directory = await open(images, 'r')
  const own = await open(paths.directory, 'r')
  try {
    const request = dumpOptions({
      imagesDirFd: directory.fd,
      workDirFd: own.fd,
      pid: monitor.pid,
      logFile: LOG,
      mounts,
      ...(network === hosts ? {} : { network: /\d+/.exec(network)?.[0] ?? '' }),
      leaveRunning: true,
      tcpEstablished: options.tcpEstablished ?? false,
      fileLocks: options.fileLocks ?? false,
      terminal: record.spec.process?.terminal ?? false,
      ...(freezer === undefined ? {} : { freezer }),
    })
    await askCriu(
      criu,
      'dump',
      { opts: request },
      {
        what: `checkpoint container ${record.name}`,
        logFile: join(paths.directory, LOG),
        hold: lock,
      },
    )
  } finally {
    await directory.close()
    await own.close()
  }
  await pipeline(
    changesAsLayer(container),
    createWriteStream(join(staging, FILES.changes), { mode: 0o600, flags: 'wx' }),
  )
  const digests = await digestsOf(staging, context.fileDigests)
  const description = await describeCheckpoint(container, monitor, mounts, network !== hosts, digests)
  await writeFile(
    join(staging, FILES.description),
    formatDescription(description, await sealingKey(context.database)),
    { mode: 0o600, flag: 'wx' },
  )
}
