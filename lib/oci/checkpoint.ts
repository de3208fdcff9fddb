import { closeSync, constants, openSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { askCriu } from '../container/checkpoint/criu.js'
import { networkLocks, type CriuFeatures, type CriuOptions } from '../container/checkpoint/criu-messages.js'
import type { Spec } from '../launch/oci-spec.js'
import type { CommandLine } from './command-line.js'
import type { Context } from './context.js'
import { criuFailed } from './criu-failure.js'
import { criuDirectories, criuOptions, criuProgram, pageServer, parentImages } from './criu-flags.js'
import { dumpedMounts } from './criu-mounts.js'
import { destroy } from './delete.js'
import { OciError } from './oci-error.js'
import type { ContainerRecord } from './record.js'
import { currentStatus } from './state.js'

/** Of CRIU, in its work directory; engines look for it there. */
const LOG = 'dump.log'

/** What its standard streams were, by which a restore gives it others; among CRIU's images, as with runc. */
export const DESCRIPTORS = 'descriptors.json'

/** `checkpoint ID`: CRIU writes down its processes, which end with that, and the container with them, unless they are to go on. */
export async function checkpoint(context: Context, id: string): Promise<number> {
  const { store, line, log } = context
  await store.change(id, async (record) => {
    const status = currentStatus(store, record)
    if (status !== 'running' && status !== 'paused') {
      throw new OciError(`Container cannot be checkpointed in ${status} state`)
    }
    const spec = store.readSpec(id)
    const goesOn = line.has('leave-running') || line.has('pre-dump')
    await dump(context, record, spec)
    if (goesOn) return
    const warn = (message: string): void => {
      log.warn(message)
    }
    await destroy(store, record, warn).catch((error: unknown) => {
      warn((error as Error).message)
    })
  })
  return 0
}

async function dump(context: Context, record: ContainerRecord, spec: Spec): Promise<void> {
  const { line } = context
  const type = line.has('pre-dump') ? 'pre-dump' : 'dump'
  const what = `checkpoint container ${record.id}`
  const criu = criuProgram(context, what)
  const { images, work } = criuDirectories(line)
  const logFile = join(work, LOG)
  const ask = { what, logFile, failed: criuFailed }
  const needed = {
    ...(type === 'pre-dump' ? { memoryTracking: true } : {}),
    ...(line.has('lazy-pages') ? { lazyPages: true } : {}),
  }
  const parent = parentImages(line, images)
  const descriptors = [images, work].map((path) => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY))
  try {
    const places = { imagesDirFd: descriptors[0]!, workDirFd: descriptors[1]!, logFile: LOG }
    if (Object.keys(needed).length > 0) {
      const { features = {} } = await askCriu(criu, 'feature-check', { opts: places, features: needed }, ask)
      requireFeatures(needed, features)
    }
    const opts: CriuOptions = {
      ...criuOptions(line, spec.annotations),
      ...places,
      ...parent,
      ...pageServer(line),
      ...statusFd(line),
      pid: record.pid!,
      leaveRunning: line.has('leave-running'),
      networkLock: line.has('tcp-established') ? networkLocks.nftables : networkLocks.skip,
      external: externalNamespaces(record.pid!, spec),
      ...freezer(record),
      ...(type === 'dump' ? { externalMounts: dumpedMounts(record.pid!, record.rootfs, spec) } : {}),
    }
    if (type === 'dump') {
      writeFileSync(join(images, DESCRIPTORS), JSON.stringify(record.streams ?? []), { mode: 0o600 })
    }
    await askCriu(criu, type, { opts }, ask)
  } finally {
    for (const fd of descriptors) closeSync(fd)
  }
}

/** @throws OciError for what the kernel or CRIU lacks */
function requireFeatures(needed: CriuFeatures, found: CriuFeatures): void {
  if (needed.memoryTracking === true && found.memoryTracking !== true) {
    throw new OciError(
      'CRIU is missing features: this kernel tracks no changes of memory, which --pre-dump is about; leave it out, or ' +
        'run a kernel with CONFIG_MEM_SOFT_DIRTY',
    )
  }
  if (needed.lazyPages === true && found.lazyPages !== true) {
    throw new OciError(
      'CRIU is missing features: this kernel has no userfaultfd(2) for what --lazy-pages asks; leave it out',
    )
  }
}

/** Namespaces that it was given by path are others' too: a restore is given them again. */
function externalNamespaces(pid: number, { linux }: Spec): string[] {
  return (linux?.namespaces ?? []).flatMap(({ type, path }) => {
    const key = path === undefined ? undefined : externalKeys[type]
    if (key === undefined) return []
    return [`${readlinkSync(`/proc/${String(pid)}/ns/${key.name}`).replace(/^(\w+):\[(\d+)\]$/, '$1[$2]')}:${key.key}`]
  })
}

/** By the names of runc. */
export const externalKeys: Readonly<Record<string, { readonly name: string; readonly key: string }>> = {
  network: { name: 'net', key: 'extRootNetNS' },
  pid: { name: 'pid', key: 'extRootPidNS' },
}

function freezer({ cgroup: { unified, freezer: v1 } }: ContainerRecord): Partial<CriuOptions> {
  const freezeCgroup = unified ?? v1
  return freezeCgroup === undefined ? {} : { freezeCgroup }
}

/** CRIU writes a byte to it once the pages can be fetched. @throws OciError */
function statusFd(line: CommandLine): Partial<CriuOptions> {
  const text = line.value('status-fd')
  if (text === undefined || text === '-1') return {}
  if (!/^\d{1,6}$/.test(text))
    throw new OciError(`invalid value ${JSON.stringify(text)} for flag -status-fd: parse error`)
  return { statusFd: Number(text) }
}
