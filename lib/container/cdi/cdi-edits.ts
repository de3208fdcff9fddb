/** What a file of the Container Device Interface says, in the words of the OCI spec. */
import { PodlingError } from '../../errors.js'
import type { SpecDevice, SpecHook } from '../../launch/oci-spec.js'
import { findDevices, ruleOf } from '../devices/find-devices.js'
import type { SpecEdits } from '../spec-edits.js'
import type { CdiDeviceNode, CdiEdits } from './cdi-spec.js'

/**
 * @throws PodlingError `CDI_UNSUPPORTED` for what this version can't do, `DEVICE_NOT_FOUND` for a node that isn't on the host
 */
export function cdiEdits(edits: CdiEdits): SpecEdits {
  refuse(edits)
  const nodes = (edits.deviceNodes ?? []).map((node) => ({
    device: specDevice(node),
    access: node.permissions ?? 'rwm',
  }))
  const hooks: Record<string, SpecHook[]> = {}
  for (const { hookName, ...hook } of edits.hooks ?? []) (hooks[hookName] ??= []).push(hook)
  return {
    env: edits.env ?? [],
    devices: nodes.map(({ device }) => device),
    rules: nodes.filter(({ device }) => device.type !== 'p').map(({ device, access }) => ruleOf(device, access)),
    mounts: (edits.mounts ?? []).map(({ hostPath, containerPath, type, options }) => ({
      source: hostPath,
      destination: containerPath,
      type: type ?? 'bind',
      options: options ?? ['rbind', 'nosuid', 'nodev', 'ro'],
    })),
    additionalGids: (edits.additionalGids ?? []).filter((gid) => gid > 0),
    hooks,
  }
}

function refuse({ intelRdt, netDevices }: CdiEdits): void {
  const what = [
    ...(intelRdt === undefined ? [] : ['intelRdt']),
    ...(netDevices === undefined || netDevices.length === 0 ? [] : ['netDevices']),
  ]
  if (what.length === 0) return
  throw new PodlingError(
    'CDI_UNSUPPORTED',
    `devices: ${what.join(' and ')} of CDI files are not supported by this version`,
  )
}

/** What the file doesn't tell of a node is as it is on the host. */
function specDevice(node: CdiDeviceNode): SpecDevice {
  const { path, hostPath = path, type, major, minor, fileMode, uid, gid } = node
  const told = type !== undefined && (type === 'p' || major !== undefined)
  const [found] = told ? [] : findDevices([{ source: hostPath, target: path, access: 'rwm' }]).devices
  return {
    path,
    type: type ?? found?.type ?? 'c',
    ...numberOf('major', major ?? found?.major),
    ...numberOf('minor', minor ?? (major === undefined ? found?.minor : 0)),
    ...numberOf('fileMode', fileMode ?? found?.fileMode),
    ...numberOf('uid', uid ?? found?.uid),
    ...numberOf('gid', gid ?? found?.gid),
  }
}

function numberOf<K extends string>(key: K, value: number | undefined): Partial<Record<K, number>> {
  return (value === undefined ? {} : { [key]: value }) as Partial<Record<K, number>>
}
