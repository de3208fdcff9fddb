/**
 * The driver `csi`: volumes of a Container Storage Interface driver, by its socket. Its calls come in the order of the
 * specification ("Volume Lifecycle"): create, controller publish, node stage, node publish, and back the same way.
 */
import { existsSync, mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../../errors.js'
import { fileError, isErrno } from '../../file-error.js'
import { lockFile } from '../../lock.js'
import type { DriverVolume, VolumeDriver, VolumeMount, VolumeUser } from '../driver.js'
import { expandOnNode, expandVolume, stagingPathOf, targetPathOf } from './csi-expand.js'
import { capabilityOf, parseCsiOptions, type CsiOptions } from './csi-options.js'
import { CsiSecretStore, type CsiSecrets } from './csi-secrets.js'
import { readState, writeState, type CsiState } from './csi-state.js'
import { describePlaces, reaches, requirementOf, type Topology } from './csi-topology.js'
import { CsiPlugin, isFinal, isGone } from './plugin.js'

type Context = Readonly<Record<string, string>>

export class CsiDriver implements VolumeDriver {
  readonly #plugins = new Map<string, CsiPlugin>()
  /** By the volumes' names. */
  readonly secrets = new CsiSecretStore()

  /** The driver at a socket. */
  plugin(socket: string): CsiPlugin {
    const known = this.#plugins.get(socket)
    if (known !== undefined) return known
    const made = new CsiPlugin(socket)
    this.#plugins.set(socket, made)
    return made
  }

  close(): void {
    this.secrets.clear()
    for (const plugin of this.#plugins.values()) plugin.close()
  }

  /** The id that its driver knows a volume by. */
  idOf(volume: DriverVolume): string {
    return readState(volume.directory).volumeId ?? ''
  }

  /** Give the secrets of a volume, and what could not be given back without them. @throws PodlingError `INVALID_OPTION` */
  async unlock(volume: DriverVolume, secrets: CsiSecrets): Promise<void> {
    const options = parseCsiOptions(volume.name, volume.options)
    await locked(volume, async () => {
      const state = readState(volume.directory)
      const lacking = (state.secrets ?? []).filter((use) => secrets[use] === undefined)
      if (lacking.length > 0) {
        throw new PodlingError(
          'INVALID_OPTION',
          `unlock volume ${volume.name}: its CSI driver needs secrets for ${lacking.join(', ')} too`,
        )
      }
      this.secrets.put(volume.name, secrets)
      const noted = { ...state, secrets: this.secrets.usesOf(volume.name) }
      writeState(volume.directory, noted)
      await this.#takeBack(this.plugin(options.endpoint), volume, noted, [])
    })
  }

  /** @returns bytes that it has then */
  async expand(volume: DriverVolume, capacity: number): Promise<number> {
    const plugin = this.plugin(parseCsiOptions(volume.name, volume.options).endpoint)
    return locked(volume, () => expandVolume(plugin, volume, this.secrets, capacity))
  }

  async create(volume: DriverVolume): Promise<void> {
    const options = parseCsiOptions(volume.name, volume.options)
    const plugin = this.plugin(options.endpoint)
    const { creates, name } = await plugin.abilities()
    const begun = { ...readState(volume.directory), secrets: this.secrets.usesOf(volume.name) }
    if (options.volumeId !== undefined) {
      writeState(volume.directory, { ...begun, volumeId: options.volumeId, made: false })
      return
    }
    if (!creates) {
      throw new PodlingError(
        'INVALID_OPTION',
        `create volume ${volume.name}: the CSI driver ${name} makes no volumes; name one that is there by options.volumeId`,
      )
    }
    const asked = { ...begun, made: true }
    writeState(volume.directory, asked)
    try {
      const { unreachable, ...created } = await this.#create(plugin, volume, asked, options)
      writeState(volume.directory, { ...asked, ...created })
      // It is noted, and so removed.
      if (unreachable !== undefined) throw unreachable
    } catch (error) {
      // It has said no, so there is nothing to be removed.
      if (isFinal(error)) writeState(volume.directory, begun)
      throw error
    }
  }

  async remove(volume: DriverVolume): Promise<void> {
    // A crash before it was made, or after it was removed; nothing was asked of the driver, or nothing is left to be.
    if (!existsSync(volume.directory)) return
    await locked(volume, async () => {
      const state = readState(volume.directory)
      if (state.volumeId === undefined && state.made !== true) return
      const options = parseCsiOptions(volume.name, volume.options)
      const plugin = this.plugin(options.endpoint)
      // Whether it was made, only the driver knows; asked again by its name it says which one it is.
      const { volumeId } = state.volumeId === undefined ? await this.#create(plugin, volume, state, options) : state
      const left = await this.#takeBack(
        plugin,
        volume,
        { ...state, ...(volumeId === undefined ? {} : { volumeId }) },
        state.published,
      )
      const secrets = this.secrets.get(volume, state, 'delete')
      if (left.made === true) await ignoreGone(plugin.call('DeleteVolume', { volumeId, secrets }))
    })
  }

  async mount(volume: DriverVolume, { container }: VolumeUser): Promise<VolumeMount> {
    const options = parseCsiOptions(volume.name, volume.options)
    const plugin = this.plugin(options.endpoint)
    return locked(volume, async () => {
      let state = readState(volume.directory)
      const note = (more: Partial<CsiState>): void => {
        state = { ...state, ...more }
        writeState(volume.directory, state)
      }
      try {
        const { stages, controllerPublishes } = await plugin.abilities()
        const { volumeId, volumeContext = {} } = state
        // All of them, before anything is done.
        const [toAttach, toStage, toPublish] = (['controllerPublish', 'nodeStage', 'nodePublish'] as const).map((use) =>
          this.secrets.get(volume, state, use),
        )
        if (state.expandTo !== undefined) this.secrets.get(volume, state, 'nodeExpand')
        const volumeCapability = capabilityOf(options)
        if (controllerPublishes && state.publishContext === undefined) {
          const { nodeId = '' } = (await plugin.call('NodeGetInfo')) as { nodeId?: string }
          note({ nodeId })
          const request = { volumeId, nodeId, volumeCapability, secrets: toAttach, volumeContext }
          const { publishContext = {} } = (await plugin.call('ControllerPublishVolume', request)) as {
            publishContext?: Context
          }
          note({ publishContext })
        }
        const { publishContext = {} } = state
        const stagingTargetPath = stages ? makeDirectory(stagingPathOf(volume)) : undefined
        if (stagingTargetPath !== undefined) {
          note({ staged: true })
          await plugin.call('NodeStageVolume', {
            volumeId,
            publishContext,
            stagingTargetPath,
            volumeCapability,
            secrets: toStage,
            volumeContext,
          })
        }
        makeDirectory(join(volume.directory, 'targets'))
        const targetPath = targetPathOf(volume, container)
        note({ published: [...new Set([...state.published, container])] })
        const readonly = options.accessMode.endsWith('reader-only')
        const request = {
          volumeId,
          publishContext,
          stagingTargetPath,
          targetPath,
          volumeCapability,
          readonly,
          secrets: toPublish,
          volumeContext,
        }
        await plugin.call('NodePublishVolume', request)
        await expandOnNode(plugin, volume, this.secrets)
        return { path: targetPath }
      } catch (error) {
        // What may have been done is noted; it is taken back by unmount(), which is called in any case.
        throw fileError(error, `mount volume ${volume.name}`)
      }
    })
  }

  async unmount(volume: DriverVolume, { container }: VolumeUser): Promise<void> {
    const options = parseCsiOptions(volume.name, volume.options)
    await locked(volume, async () => {
      await this.#takeBack(this.plugin(options.endpoint), volume, readState(volume.directory), [container])
    })
  }

  async #create(
    plugin: CsiPlugin,
    volume: DriverVolume,
    state: CsiState,
    options: CsiOptions,
  ): Promise<{ volumeId: string; volumeContext: Context; unreachable: PodlingError | undefined }> {
    const { capacity, snapshot, parameters } = options
    const { hasTopology } = await plugin.abilities()
    const { accessibleTopology: node } = (hasTopology ? await plugin.call('NodeGetInfo') : {}) as {
      accessibleTopology?: Topology
    }
    const { volume: made = {} } = (await plugin.call('CreateVolume', {
      name: state.name,
      volumeCapabilities: [capabilityOf(options)],
      parameters,
      secrets: this.secrets.get(volume, state, 'create'),
      accessibilityRequirements: requirementOf(node),
      ...(capacity === undefined ? {} : { capacityRange: { requiredBytes: capacity } }),
      ...(snapshot === undefined ? {} : { volumeContentSource: { snapshot: { snapshotId: snapshot } } }),
    })) as { volume?: { volumeId?: string; volumeContext?: Context; accessibleTopology?: readonly Topology[] } }
    const { volumeId = '', volumeContext = {}, accessibleTopology = [] } = made
    const what = `CSI driver at ${plugin.socket}: CreateVolume: it made a volume`
    if (volumeId === '') throw new PodlingError('VOLUME_FAILED', `${what} without an id`)
    const unreachable = reaches(node, accessibleTopology)
      ? undefined
      : new PodlingError(
          'VOLUME_FAILED',
          `${what} that is reached from ${describePlaces(accessibleTopology)} alone, not from here`,
        )
    return { volumeId, volumeContext, unreachable }
  }

  /** Unpublish it for some containers; when none is left, unstage it and give it back. @returns what is noted then */
  async #takeBack(
    plugin: CsiPlugin,
    volume: DriverVolume,
    noted: CsiState,
    containers: readonly string[],
  ): Promise<CsiState> {
    let state = noted
    const note = (next: CsiState): void => {
      state = next
      writeState(volume.directory, state)
    }
    const { volumeId } = state
    for (const container of containers.filter((one) => state.published.includes(one))) {
      const targetPath = targetPathOf(volume, container)
      await ignoreGone(plugin.call('NodeUnpublishVolume', { volumeId, targetPath }))
      removeDirectory(targetPath)
      note({ ...state, published: state.published.filter((one) => one !== container) })
    }
    if (state.published.length > 0) return state
    if (state.staged === true) {
      const stagingTargetPath = stagingPathOf(volume)
      await ignoreGone(plugin.call('NodeUnstageVolume', { volumeId, stagingTargetPath }))
      // Else a mount that the driver left would be taken for the volume's own directory when that is removed.
      removeDirectory(stagingTargetPath)
      const { staged: _, ...rest } = state
      note(rest)
    }
    if (state.nodeId !== undefined) {
      const secrets = this.secrets.get(volume, state, 'controllerPublish')
      await ignoreGone(plugin.call('ControllerUnpublishVolume', { volumeId, nodeId: state.nodeId, secrets }))
      const { nodeId: _, publishContext: __, ...rest } = state
      note(rest)
    }
    return state
  }
}

/** Two calls for one volume at a time would be refused by the driver. */
async function locked<T>(volume: DriverVolume, work: () => Promise<T>): Promise<T> {
  const lock = await lockFile(join(volume.directory, 'csi.lock'))
  try {
    return await work()
  } finally {
    lock.release()
  }
}

async function ignoreGone(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function makeDirectory(path: string): string {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw fileError(error, `make ${path}`)
  }
  return path
}

/** The driver has to; some leave it. Never with what is in it: it could be the volume. */
function removeDirectory(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw fileError(error, `remove ${path}`)
  }
}
