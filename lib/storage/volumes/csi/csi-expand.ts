/** Volumes of CSI drivers made larger: by the controller, by the node, or by one after the other, as the driver says. */
import { join } from 'node:path'
import { PodlingError } from '../../../errors.js'
import type { DriverVolume } from '../driver.js'
import { capabilityOf, parseCsiOptions } from './csi-options.js'
import type { CsiSecretStore } from './csi-secrets.js'
import { readState, writeState } from './csi-state.js'
import type { CsiPlugin } from './plugin.js'

/**
 * Make it larger. The node's part is done at once where the volume is in use, else when it is next (by {@link expandOnNode}).
 * @returns bytes that it has then
 * @throws PodlingError `DRIVER_UNSUPPORTED`, `VOLUME_IN_USE`, `VOLUME_LOCKED`, `VOLUME_FAILED`, `DISK_FULL`
 */
export async function expandVolume(
  plugin: CsiPlugin,
  volume: DriverVolume,
  secretStore: CsiSecretStore,
  capacity: number,
): Promise<number> {
  const { name, expands, controllerExpands, nodeExpands, expandsOnline } = await plugin.abilities()
  const what = `expand volume ${volume.name}: the CSI driver ${name}`
  if (!expands) throw new PodlingError('DRIVER_UNSUPPORTED', `${what} makes no volumes larger`)
  const state = readState(volume.directory)
  if (!expandsOnline && (state.published.length > 0 || state.nodeId !== undefined)) {
    throw new PodlingError('VOLUME_IN_USE', `${what} does so only while no container runs with it; stop these first`)
  }
  // Both, before anything is done: the driver's disk must not grow and the file system on it stay as it was.
  const secrets = secretStore.get(volume, state, 'controllerExpand')
  secretStore.get(volume, state, 'nodeExpand')
  const { volumeId } = state
  let size = capacity
  if (controllerExpands) {
    const { capacityBytes = capacity, nodeExpansionRequired = false } = (await plugin.call('ControllerExpandVolume', {
      volumeId,
      capacityRange: { requiredBytes: capacity },
      secrets,
      volumeCapability: capabilityOf(parseCsiOptions(volume.name, volume.options)),
    })) as { capacityBytes?: number; nodeExpansionRequired?: boolean }
    size = capacityBytes
    if (!nodeExpansionRequired) return size
    if (!nodeExpands) throw new PodlingError('VOLUME_FAILED', `${what} wants its node to do its part, which it can't`)
  }
  writeState(volume.directory, { ...state, expandTo: size })
  return state.published.length > 0 ? await expandOnNode(plugin, volume, secretStore) : size
}

/** The node's part of an expansion, where one is due and the volume is published. @returns bytes that it has then; 0: not due */
export async function expandOnNode(
  plugin: CsiPlugin,
  volume: DriverVolume,
  secretStore: CsiSecretStore,
): Promise<number> {
  const { expandTo, ...state } = readState(volume.directory)
  const [container = ''] = state.published
  if (expandTo === undefined) return 0
  const { capacityBytes = expandTo } = (await plugin.call('NodeExpandVolume', {
    volumeId: state.volumeId,
    volumePath: targetPathOf(volume, container),
    capacityRange: { requiredBytes: expandTo },
    stagingTargetPath: state.staged === true ? stagingPathOf(volume) : undefined,
    volumeCapability: capabilityOf(parseCsiOptions(volume.name, volume.options)),
    secrets: secretStore.get(volume, state, 'nodeExpand'),
  })) as { capacityBytes?: number }
  writeState(volume.directory, state)
  return capacityBytes
}

/** Where a volume is staged. */
export function stagingPathOf({ directory }: DriverVolume): string {
  return join(directory, 'staging')
}

/** Where it is published for a container. */
export function targetPathOf({ directory }: DriverVolume, container: string): string {
  return join(directory, 'targets', container.slice(0, 32))
}
