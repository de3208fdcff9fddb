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

/** Those that only a host runs; the others are a part of each start, whoever does it. */
const onHost = ['prestart', 'createRuntime', 'poststart', 'poststop'] as const

/** What has a monitor start a container again. */
export interface StartsAgain {
  readonly restart?: string | undefined
  readonly health?: { readonly onFailure?: string } | string | false | undefined
}

export function hookFaults({ hooks = {}, restart = 'no', health }: StartsAgain & { hooks?: SpecHooks }): Fault[] {
  const why =
    restart !== 'no'
      ? `restart: '${restart}'`
      : typeof health === 'object' && health.onFailure === 'restart'
        ? "health.onFailure: 'restart'"
        : undefined
  if (why === undefined) return []
  return onHost
    .filter((stage) => (hooks[stage] ?? []).length > 0)
    .map((stage) => ({
      path: `hooks.${stage}`,
      message:
        `can't be had with ${why}: its monitor starts it again without a host that would run them; ` +
        'createContainer and startContainer can',
    }))
}
