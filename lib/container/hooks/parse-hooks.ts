/** The hooks of a container, as options give them. Pure. */
import type { Fault } from '../../schema/faults.js'
import type { SpecHooks } from '../../launch/oci-spec.js'

const hook = {
  type: 'object',
  member: 'property of a hook',
  additionalProperties: false,
  required: ['path'],
  properties: {
    path: { type: 'string', absolute: true },
    args: { type: 'array', items: { type: 'string', noNul: true } },
    env: { type: 'array', items: { type: 'string', noNul: true, pattern: '^[^=]+=', says: 'NAME=value' } },
    timeout: { type: 'integer', minimum: 1 },
  },
} as const

const list = { type: 'array', items: hook } as const

export const hooksSchema = {
  type: 'object',
  member: 'kind of hook',
  additionalProperties: false,
  properties: {
    prestart: list,
    createRuntime: list,
    createContainer: list,
    startContainer: list,
    poststart: list,
    poststop: list,
  },
} as const

/** Those run in the container's own namespaces. */
export const unsupportedHooks = ['createContainer', 'startContainer'] as const

export function hookFaults({ hooks, restart = 'no' }: { hooks?: SpecHooks; restart?: string }): Fault[] {
  if (hooks === undefined) return []
  const inside = unsupportedHooks.filter((stage) => (hooks[stage] ?? []).length > 0)
  return [
    ...inside.map((stage) => ({
      path: `hooks.${stage}`,
      message: 'is not supported by this version; see createRuntime',
    })),
    ...(restart === 'no'
      ? []
      : [{ path: 'hooks', message: `can't be had with restart: '${restart}': whoever starts it again runs no hooks` }]),
  ]
}
