/** The messages of the Container Storage Interface 1.x that Podling speaks, by its csi.proto. Pure. */
import type { Field, FieldKind, MessageSchema } from '../../../schema/protobuf.js'

const field = (number: number, kind: FieldKind): Field => ({ number, kind })
const list = (number: number, kind: FieldKind): Field => ({ number, kind, repeated: true })

const empty: MessageSchema = {}
/** A capability of a service, as one of its calls. */
const rpc: MessageSchema = { rpc: field(1, { type: field(1, 'enum') }) }
const capability: MessageSchema = {
  mount: field(2, { fsType: field(1, 'string'), mountFlags: list(2, 'string') }),
  accessMode: field(3, { mode: field(1, 'enum') }),
}
const capacityRange: MessageSchema = { requiredBytes: field(1, 'int64'), limitBytes: field(2, 'int64') }
const topology: MessageSchema = { segments: field(1, 'map') }
const contentSource: MessageSchema = { snapshot: field(1, { snapshotId: field(1, 'string') }) }
const snapshot: MessageSchema = {
  sizeBytes: field(1, 'int64'),
  snapshotId: field(2, 'string'),
  sourceVolumeId: field(3, 'string'),
  creationTime: field(4, { seconds: field(1, 'int64') }),
  readyToUse: field(5, 'bool'),
}

/** Each call: its service, and the shapes of its request and response. */
export const calls = {
  GetPluginInfo: {
    service: 'Identity',
    request: empty,
    response: { name: field(1, 'string'), vendorVersion: field(2, 'string') },
  },
  GetPluginCapabilities: {
    service: 'Identity',
    request: empty,
    response: {
      capabilities: list(1, {
        service: field(1, { type: field(1, 'enum') }),
        volumeExpansion: field(2, { type: field(1, 'enum') }),
      }),
    },
  },
  Probe: { service: 'Identity', request: empty, response: { ready: field(1, { value: field(1, 'bool') }) } },
  ControllerGetCapabilities: { service: 'Controller', request: empty, response: { capabilities: list(1, rpc) } },
  CreateVolume: {
    service: 'Controller',
    request: {
      name: field(1, 'string'),
      capacityRange: field(2, capacityRange),
      volumeCapabilities: list(3, capability),
      parameters: field(4, 'map'),
      secrets: field(5, 'map'),
      volumeContentSource: field(6, contentSource),
      accessibilityRequirements: field(7, { requisite: list(1, topology), preferred: list(2, topology) }),
    },
    response: {
      volume: field(1, {
        capacityBytes: field(1, 'int64'),
        volumeId: field(2, 'string'),
        volumeContext: field(3, 'map'),
        accessibleTopology: list(5, topology),
      }),
    },
  },
  DeleteVolume: {
    service: 'Controller',
    request: { volumeId: field(1, 'string'), secrets: field(2, 'map') },
    response: empty,
  },
  ControllerPublishVolume: {
    service: 'Controller',
    request: {
      volumeId: field(1, 'string'),
      nodeId: field(2, 'string'),
      volumeCapability: field(3, capability),
      secrets: field(5, 'map'),
      volumeContext: field(6, 'map'),
    },
    response: { publishContext: field(1, 'map') },
  },
  ControllerUnpublishVolume: {
    service: 'Controller',
    request: { volumeId: field(1, 'string'), nodeId: field(2, 'string'), secrets: field(3, 'map') },
    response: empty,
  },
  GetCapacity: {
    service: 'Controller',
    request: { volumeCapabilities: list(1, capability), parameters: field(2, 'map') },
    response: { availableCapacity: field(1, 'int64') },
  },
  CreateSnapshot: {
    service: 'Controller',
    request: {
      sourceVolumeId: field(1, 'string'),
      name: field(2, 'string'),
      secrets: field(3, 'map'),
      parameters: field(4, 'map'),
    },
    response: { snapshot: field(1, snapshot) },
  },
  DeleteSnapshot: {
    service: 'Controller',
    request: { snapshotId: field(1, 'string'), secrets: field(2, 'map') },
    response: empty,
  },
  ControllerExpandVolume: {
    service: 'Controller',
    request: {
      volumeId: field(1, 'string'),
      capacityRange: field(2, capacityRange),
      secrets: field(3, 'map'),
      volumeCapability: field(4, capability),
    },
    response: { capacityBytes: field(1, 'int64'), nodeExpansionRequired: field(2, 'bool') },
  },
  NodeGetCapabilities: { service: 'Node', request: empty, response: { capabilities: list(1, rpc) } },
  NodeGetInfo: {
    service: 'Node',
    request: empty,
    response: { nodeId: field(1, 'string'), accessibleTopology: field(3, topology) },
  },
  NodeStageVolume: {
    service: 'Node',
    request: {
      volumeId: field(1, 'string'),
      publishContext: field(2, 'map'),
      stagingTargetPath: field(3, 'string'),
      volumeCapability: field(4, capability),
      secrets: field(5, 'map'),
      volumeContext: field(6, 'map'),
    },
    response: empty,
  },
  NodeUnstageVolume: {
    service: 'Node',
    request: { volumeId: field(1, 'string'), stagingTargetPath: field(2, 'string') },
    response: empty,
  },
  NodePublishVolume: {
    service: 'Node',
    request: {
      volumeId: field(1, 'string'),
      publishContext: field(2, 'map'),
      stagingTargetPath: field(3, 'string'),
      targetPath: field(4, 'string'),
      volumeCapability: field(5, capability),
      readonly: field(6, 'bool'),
      secrets: field(7, 'map'),
      volumeContext: field(8, 'map'),
    },
    response: empty,
  },
  NodeUnpublishVolume: {
    service: 'Node',
    request: { volumeId: field(1, 'string'), targetPath: field(2, 'string') },
    response: empty,
  },
  NodeExpandVolume: {
    service: 'Node',
    request: {
      volumeId: field(1, 'string'),
      volumePath: field(2, 'string'),
      capacityRange: field(3, capacityRange),
      stagingTargetPath: field(4, 'string'),
      volumeCapability: field(5, capability),
      secrets: field(6, 'map'),
    },
    response: { capacityBytes: field(1, 'int64') },
  },
} as const satisfies Record<string, { service: string; request: MessageSchema; response: MessageSchema }>

export type CsiCall = keyof typeof calls

/** PluginCapability.Service.Type */
export const pluginServices = { controller: 1, accessibilityConstraints: 2 } as const
/** PluginCapability.VolumeExpansion.Type */
export const expansions = { online: 1 } as const
/** ControllerServiceCapability.RPC.Type */
export const controllerCalls = {
  createDeleteVolume: 1,
  publishUnpublish: 2,
  getCapacity: 4,
  snapshots: 5,
  expandVolume: 9,
} as const
/** NodeServiceCapability.RPC.Type */
export const nodeCalls = { stageUnstage: 1, expandVolume: 3 } as const
/** VolumeCapability.AccessMode.Mode */
export const accessModes = {
  'single-node-writer': 1,
  'single-node-reader-only': 2,
  'multi-node-reader-only': 3,
  'multi-node-single-writer': 4,
  'multi-node-multi-writer': 5,
} as const
export type AccessMode = keyof typeof accessModes
