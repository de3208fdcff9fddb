/** The shape of `userns`, `uidMap` and `gidMap`. */

const id = { type: 'integer', minimum: 0, maximum: 2 ** 32 - 2 }
const size = { type: 'integer', minimum: 1, maximum: 2 ** 32 - 2 }

const mapping = {
  type: ['string', 'object'],
  member: 'property of a mapping',
  required: ['containerId', 'hostId', 'size'],
  additionalProperties: false,
  properties: { containerId: id, hostId: id, size },
}

const mappings = { type: 'array', items: mapping }
const objects = { type: 'array', items: { ...mapping, type: 'object' } }

export const userNamespaceProperties = {
  userns: {
    type: ['string', 'object'],
    member: 'property of a user namespace',
    required: ['mode'],
    additionalProperties: false,
    properties: {
      mode: { enum: ['host', 'auto', 'keep-id', 'nomap', 'container'] },
      container: { type: 'string', minLength: 1 },
      size,
      uid: id,
      gid: id,
      uidMapping: objects,
      gidMapping: objects,
    },
  },
  uidMap: mappings,
  gidMap: mappings,
} as const
