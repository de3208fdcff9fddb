/**
 * The root of a container, or of an image, as a tree to read and write.
 *
 * Of one that runs it is the root of its mount namespace. Otherwise a process is started that mounts the root in a mount
 * namespace of its own and waits: so nothing is ever mounted on the host, and nothing is left of it when this process or
 * that one is killed.
 */
import { existsSync } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:os'
import { compileView, type ViewInput } from '../launch/compile/view.js'
import type { Monitor } from '../launch/monitor.js'
import { PodlingError } from '../errors.js'
import type { Tree } from '../storage/copy/copier.js'
import type { RootOptions } from '../storage/drivers/driver.js'
import { close as closeDescriptor } from '../sys/descriptors.js'
import { afterUndo, settleAll } from '../teardown.js'
import { removeFiles, unmountVolumes } from './clear-away.js'
import type { ContainerContext } from './context.js'
import type { Lifecycle } from './lifecycle.js'
import { mountVolumes } from './mount-volumes.js'
import { randomId } from './names.js'
import { containerPaths, type ContainerPaths } from './record.js'
import { RunLock } from './run-lock.js'
import { ownersOf } from './userns/owners.js'

export interface RootView {
  readonly tree: Tree
  /** Whose root it is, in the host's pid namespace. */
  readonly pid: number
  close(): Promise<void>
}

/**
 * Open the root of a container, with all that is mounted in it while it runs, and else with what is bound into it.
 * @param verb for messages: `copy from`
 * @param wants.mounts whether what is bound into one that doesn't run counts
 * @throws PodlingError `INVALID_STATE` when it was removed, or another process starts it
 */
export async function openRoot(
  container: Lifecycle,
  verb: string,
  wants: { readonly mounts: boolean } = { mounts: true },
): Promise<RootView> {
  const { paths } = container
  if (container.status === 'removed') throw invalid(container, verb, 'it was removed')
  if (container.monitor === undefined && existsSync(paths.socket)) await container.refresh()
  if (container.status === 'restarting')
    throw invalid(container, verb, 'it is started again in a moment; try again then')
  if (container.monitor !== undefined) return runningRoot(container, container.monitor, verb)
  const lock = await RunLock.acquire(paths)
  if (lock === undefined) throw invalid(container, verb, 'another process is starting it, or reads it, too')
  try {
    const view = await stoppedRoot(container, wants.mounts)
    return { ...view, close: () => view.close().finally(() => { lock.release() }) } // prettier-ignore
  } catch (error) {
    lock.release()
    throw error
  }
}

async function stoppedRoot(container: Lifecycle, withMounts: boolean): Promise<RootView> {
  const { context, paths, record } = container
  const madeAnew = `${context.root}/containers/`
  const mapping = { owners: ownersOf(context, record) }
  const { uidMappings = [], gidMappings = [] } = record.spec.linux ?? {}
  const common = {
    readOnly: false,
    volatile: !record.options.detach,
    ...mapping,
    // Whose files are copies for it alone, they are understood by.
    ...(mapping.owners === undefined ? {} : { users: { uidMappings, gidMappings } }),
  }
  if (!withMounts) return holdRoot(context, record.id, paths, common, [])
  // What each start makes anew is not there.
  const mounts = (record.spec.mounts ?? []).filter(({ source }) => !source?.startsWith(madeAnew))
  const giveBack = (): Promise<void> => unmountVolumes(context, record)
  try {
    const { sources, held, first } = await mountVolumes(container, mapping)
    const view = await holdRoot(context, record.id, paths, { ...common, mounts, mountSources: sources }, held)
    context.volumes.use.markFilled(first).catch(() => undefined)
    return { ...view, close: closeOnce(() => settleAll('close a root', [view.close().finally(giveBack)])) }
  } catch (error) {
    throw await afterUndo(error, giveBack)
  }
}

async function runningRoot(container: Lifecycle, monitor: Monitor, verb: string): Promise<RootView> {
  const { pid } = monitor
  const mapped = container.record.options.userns !== undefined
  let namespace: FileHandle | undefined
  let users: FileHandle | undefined
  try {
    namespace = await open(`/proc/${String(pid)}/ns/mnt`, 'r')
    if (mapped) users = await open(`/proc/${String(pid)}/ns/user`, 'r')
    // The monitor has not reaped it, so that the pid was its own when it was looked up, and nobody else's.
    await monitor.kill(0)
  } catch (cause) {
    await namespace?.close()
    await users?.close()
    if (cause instanceof PodlingError && cause.code !== 'INVALID_STATE') throw cause
    throw new PodlingError('INVALID_STATE', `${verb} container ${container.record.name}: it has ended meanwhile`, {
      cause,
    })
  }
  const opened = [namespace, ...(users === undefined ? [] : [users])]
  return {
    tree: treeOf(namespace, users),
    pid,
    close: closeOnce(() =>
      settleAll(
        'close a root',
        opened.map((one) => one.close()),
      ),
    ),
  }
}

/**
 * Open the root of an image, read-only.
 * @param chainId of its topmost layer; undefined for an image without layers
 */
export async function openImageRoot(context: ContainerContext, chainId: string | undefined): Promise<RootView> {
  const { driver, layers, root, runRoot } = context
  // As of a container that is being made: whatever interrupts it, the next open finds and removes it.
  const id = randomId()
  const paths = containerPaths(root, runRoot, id, false)
  const lock = await RunLock.acquire(paths)
  if (lock === undefined) throw new PodlingError('INVALID_STATE', `mount an image: the id ${id} is in use`)
  const holder = `container:${id}`
  const undo = async (): Promise<void> => {
    try {
      await settleAll('take back what showed an image', [
        removeFiles(context, id),
        ...(chainId === undefined ? [] : [layers.release(chainId, holder)]),
      ])
    } finally {
      lock.release()
    }
  }
  try {
    if (chainId !== undefined) await layers.reference(chainId, holder)
    await driver.prepare(id, chainId)
    const held = await holdRoot(context, id, paths, { readOnly: true, volatile: true }, [])
    const close = closeOnce(async () => {
      context.imageRoots.delete(close)
      await held.close().finally(undo)
    })
    context.imageRoots.add(close)
    return { ...held, close }
  } catch (error) {
    throw await afterUndo(error, undo)
  }
}

/** A process whose root it is. @param given descriptors for its monitor */
async function holdRoot(
  { launcher, driver }: ContainerContext,
  id: string,
  { runDirectory }: ContainerPaths,
  input: Omit<ViewInput, 'root' | 'monitor'> & Pick<RootOptions, 'volatile' | 'owners'>,
  given: readonly number[],
): Promise<RootView> {
  const socket = `${runDirectory}/view.sock`
  const exitFile = `${runDirectory}/view.exit`
  const { volatile = false, owners, ...view } = input
  let held = given
  let plan
  try {
    const root = await driver.mount(id, { volatile, owners })
    held = [...given, ...root.held]
    plan = compileView({ ...view, root: root.operations, monitor: { lifetime: 'bound', socket, exitFile } })
  } catch (error) {
    for (const fd of held) closeDescriptor(fd)
    throw error
  }
  const monitor = await launcher.launch(plan, held)
  let namespace: FileHandle | undefined
  let users: FileHandle | undefined
  const close = closeOnce(async () => {
    await namespace?.close()
    await users?.close()
    // When it has told of its end, all is unmounted.
    await monitor.kill(constants.signals.SIGKILL).catch(() => undefined)
    await monitor.exited.catch(() => undefined)
    monitor.close()
    for (const file of [socket, exitFile]) await rm(file, { force: true })
  })
  try {
    namespace = await open(`/proc/${String(monitor.pid)}/ns/mnt`, 'r')
    if (view.users !== undefined) users = await open(`/proc/${String(monitor.pid)}/ns/user`, 'r')
    return { tree: treeOf(namespace, users), pid: monitor.pid, close }
  } catch (error) {
    await close()
    throw error
  }
}

function treeOf(namespace: FileHandle, users: FileHandle | undefined): Tree {
  return { kind: 'namespace', descriptor: namespace.fd, ...(users === undefined ? {} : { users: users.fd }) }
}

function closeOnce(close: () => Promise<void>): () => Promise<void> {
  let closing: Promise<void> | undefined
  return () => (closing ??= close())
}

function invalid({ record }: Lifecycle, verb: string, why: string): PodlingError {
  return new PodlingError('INVALID_STATE', `${verb} container ${record.name}: ${why}`)
}
