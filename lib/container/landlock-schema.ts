/** The shape of the option `landlock`, and what of it says nothing. */
import type { Fault } from '../schema/faults.js'
import { landlockAccesses, landlockPortAccesses, landlockScopes, type LandlockOption } from '../security/landlock.js'

export const landlockSchema = {
  type: 'object',
  member: 'property of landlock',
  additionalProperties: false,
  properties: {
    paths: {
      type: 'array',
      items: {
        type: 'object',
        member: 'property of a Landlock rule',
        additionalProperties: false,
        required: ['path', 'access'],
        properties: {
          path: { type: 'string', absolute: true },
          access: { type: 'array', minItems: 1, items: { enum: landlockAccesses } },
        },
      },
    },
    ports: {
      type: 'array',
      items: {
        type: 'object',
        member: 'property of a Landlock rule',
        additionalProperties: false,
        required: ['port', 'access'],
        properties: {
          port: { type: 'integer', minimum: 0, maximum: 65535 },
          access: { type: 'array', minItems: 1, items: { enum: landlockPortAccesses } },
        },
      },
    },
    scopes: { type: 'array', items: { enum: landlockScopes } },
    bestEffort: { type: 'boolean' },
  },
} as const

export function landlockFaults(option: LandlockOption | undefined): Fault[] {
  if (option === undefined) return []
  const { paths, ports, scopes = [] } = option
  if (paths !== undefined || ports !== undefined || scopes.length > 0) return []
  return [{ path: 'landlock', message: 'confines nothing; give it paths, ports or scopes, or leave it out' }]
}
