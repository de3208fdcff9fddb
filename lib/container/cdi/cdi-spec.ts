/**
 * Files of the Container Device Interface 0.2.0 to 1.1.0, by which vendors tell what a device needs in a container.
 * https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
 */
import type * as Yaml from 'yaml'
import { PodlingError } from '../../errors.js'
import { late } from '../../late.js'
import { faultFinder, formatFaults } from '../../schema/faults.js'

const yaml = late('yaml') as () => typeof Yaml

export interface CdiSpec {
  readonly cdiVersion: string
  /** `vendor.com/class`. */
  readonly kind: string
  readonly devices: readonly { readonly name: string; readonly containerEdits: CdiEdits }[]
  readonly containerEdits?: CdiEdits
}

export interface CdiEdits {
  readonly env?: readonly string[]
  readonly deviceNodes?: readonly CdiDeviceNode[]
  readonly netDevices?: readonly object[]
  readonly mounts?: readonly {
    readonly hostPath: string
    readonly containerPath: string
    readonly type?: string
    readonly options?: readonly string[]
  }[]
  readonly hooks?: readonly {
    readonly hookName: string
    readonly path: string
    readonly args?: readonly string[]
    readonly env?: readonly string[]
    /** Seconds. */
    readonly timeout?: number
  }[]
  readonly additionalGids?: readonly number[]
  readonly intelRdt?: object
}

export interface CdiDeviceNode {
  readonly path: string
  /** @default `path` */
  readonly hostPath?: string
  readonly type?: 'b' | 'c' | 'u' | 'p'
  readonly major?: number
  readonly minor?: number
  readonly fileMode?: number
  readonly permissions?: string
  readonly uid?: number
  readonly gid?: number
}

const text = { type: 'string', noNul: true }
const path = { type: 'string', noNul: true, pattern: '^/', says: 'an absolute path' }
const texts = { type: 'array', items: text }
const id = { type: 'integer', minimum: 0, maximum: 2 ** 32 - 2 }
const number = { type: 'integer', minimum: 0 }

/** Strict: what isn't known here might be what the device needs. */
const object = (required: readonly string[], properties: object): object => ({
  type: 'object',
  additionalProperties: false,
  required,
  properties,
})

export const hookNames = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const

const edits = object([], {
  env: { type: 'array', items: { type: 'string', noNul: true, pattern: '^[^=]+=', says: 'NAME=value' } },
  deviceNodes: {
    type: 'array',
    items: object(['path'], {
      path,
      hostPath: path,
      type: { enum: ['b', 'c', 'u', 'p'] },
      major: number,
      minor: number,
      fileMode: { type: 'integer', minimum: 0, maximum: 0o7777 },
      permissions: { type: 'string', pattern: '^[rwm]{1,3}$', says: 'some of r, w, m' },
      uid: id,
      gid: id,
    }),
  },
  netDevices: { type: 'array', items: { type: 'object' } },
  mounts: {
    type: 'array',
    items: object(['hostPath', 'containerPath'], { hostPath: text, containerPath: path, type: text, options: texts }),
  },
  hooks: {
    type: 'array',
    items: object(['hookName', 'path'], {
      hookName: { enum: hookNames },
      path,
      args: texts,
      env: texts,
      timeout: { type: 'integer', minimum: 0 },
    }),
  },
  additionalGids: { type: 'array', items: id },
  intelRdt: { type: 'object' },
})

const annotations = { type: 'object', additionalProperties: text }

const findFaults = faultFinder(
  object(['cdiVersion', 'kind', 'devices'], {
    cdiVersion: {
      type: 'string',
      pattern: '^v?(0\\.[2-8]\\.\\d+|1\\.[01]\\.\\d+)$',
      says: 'a version from 0.2.0 to 1.1.0',
    },
    kind: { type: 'string', pattern: '^[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*$', says: 'vendor.com/class' },
    annotations,
    devices: {
      type: 'array',
      items: object(['name', 'containerEdits'], { name: text, annotations, containerEdits: edits }),
    },
    containerEdits: edits,
  }),
  [
    {
      keyword: 'noNul',
      type: 'string',
      fault: (value) => (String(value).includes('\0') ? 'must be without NUL characters' : undefined),
    },
  ],
)

/**
 * Read the text of a file: JSON, or YAML, of which JSON is a part.
 * @throws PodlingError `CDI_INVALID`
 */
export function parseCdiSpec(content: string, file: string): CdiSpec {
  let value: unknown
  try {
    // Aliases are left out: a small file could stand for a large one by them.
    value = yaml().parse(content, { maxAliasCount: 0 })
  } catch (cause) {
    const why = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : ''
    throw new PodlingError('CDI_INVALID', `read the CDI file ${file}: ${why}`, { cause, path: file })
  }
  const faults = findFaults(value)
  if (faults.length === 0) return value as CdiSpec
  throw new PodlingError('CDI_INVALID', formatFaults(`the CDI file ${file}`, faults), { path: file })
}
