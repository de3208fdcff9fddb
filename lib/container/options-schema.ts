/** The shape of {@link ContainerOptions}: what each option must be, by itself. How they fit together: parse-options.ts. */
import { isIP } from 'node:net'
import { show, type FaultKeyword } from '../schema/faults.js'
import { rlimitNumbers } from '../launch/rlimits.js'
import { findCapability, isAll, unknownCapability } from '../security/capabilities.js'
import { volumeName, volumeNameWords } from '../storage/volumes/volume.js'
import { durationWords, parseDuration, parseSize, sizeWords } from '../schema/quantities.js'
import { hooksSchema } from './hooks/parse-hooks.js'
import { apparmorSchema, selinuxSchema } from './labels/label-options.js'
import { landlockSchema } from './landlock-schema.js'
import { limitKeywords, limitProperties } from './limits/schema.js'
import { logDrivers } from './log/settings.js'
import { restartPattern, restartWords } from './restart-policy.js'
import { signalNumber } from './signals.js'
import { terminalSize } from './terminal/size.js'
import { userNamespaceProperties } from './userns/schema.js'

/** What is written to a log at a time. */
const minimumLogSize = 64 * 1024
/** An empty root takes some. */
const minimumQuota = 1024 * 1024
const minimumInodes = 16
/** 2^32-1 is how the kernel says 'no id'. */
const maximumId = 2 ** 32 - 2

/** A keyword for a string that must fulfil `test`. */
function words(keyword: string, test: (text: string) => boolean, must: string): FaultKeyword {
  return {
    keyword,
    type: 'string',
    fault: (value) => (test(String(value)) ? undefined : `must be ${must}, got ${show(value)}`),
  }
}

export const optionKeywords: readonly FaultKeyword[] = [
  words('absolute', (path) => path.startsWith('/') && !path.includes('\0'), 'an absolute path'),
  words('noNul', (text) => !text.includes('\0'), 'without NUL characters'),
  words('address', (text) => isIP(text) !== 0, 'an IP address'),
  {
    keyword: 'variables',
    type: 'object',
    fault: (variables) => {
      const wrong = Object.keys(variables as object).find((key) => key === '' || /[=\0]/.test(key))
      return wrong === undefined ? undefined : `a variable's name must not be empty nor hold '=', got ${show(wrong)}`
    },
  },
  {
    keyword: 'userName',
    type: 'string',
    fault: (value) =>
      isUser(String(value))
        ? undefined
        : `must be a name or uid, or one with ':' and a group or gid, got ${show(value)}`,
  },
  {
    keyword: 'capability',
    type: 'string',
    fault: (name) =>
      isAll(String(name)) || findCapability(String(name)) !== undefined ? undefined : unknownCapability(String(name)),
  },
  {
    keyword: 'signal',
    type: ['string', 'number'],
    fault: (value) => {
      try {
        signalNumber(value as string | number)
        return undefined
      } catch {
        return `must be a signal such as 'SIGTERM' or 15, got ${show(value)}`
      }
    },
  },
  {
    keyword: 'duration',
    type: ['string', 'number'],
    fault: (value) => (parseDuration(value) === undefined ? `must be ${durationWords}, got ${show(value)}` : undefined),
  },
  {
    keyword: 'size',
    type: ['string', 'number'],
    fault: (value, minimum) => {
      const bytes = parseSize(value)
      if (bytes === undefined) return `must be ${sizeWords}, got ${show(value)}`
      return bytes < Number(minimum)
        ? `must be at least ${String(Number(minimum) / 1024)}k, got ${show(value)}`
        : undefined
    },
  },
  {
    keyword: 'mode',
    type: ['string', 'number'],
    fault: (value) =>
      parseMode(value as string | number) === undefined
        ? `must be a file mode such as 0o755 or '755', got ${show(value)}`
        : undefined,
  },
  ...limitKeywords,
  {
    keyword: 'regExp',
    fault: (value) =>
      value instanceof RegExp || (typeof value === 'string' && value !== '')
        ? undefined
        : `must be a regular expression or a string, got ${show(value)}`,
  },
]

/** A mode as a number, or as octal digits: `0o755`, `'755'`, `'0755'`. */
export function parseMode(mode: number | string): number | undefined {
  if (typeof mode === 'number') return Number.isInteger(mode) && mode >= 0 && mode <= 0o7777 ? mode : undefined
  return /^0?o?[0-7]{1,4}$/.test(mode) ? Number.parseInt(mode.replace('o', ''), 8) : undefined
}

function isUser(text: string): boolean {
  const parts = text.split(':')
  return (
    parts.length <= 2 &&
    parts.every((part) => (/^\d+$/.test(part) ? Number(part) <= maximumId : /^[^\s:/\0]+$/.test(part)))
  )
}

const text = { type: 'string', noNul: true }
const texts = { type: 'array', items: text }
const flag = { type: 'boolean' }
const name = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.source
const textMap = { type: 'object', additionalProperties: text }
const ulimit = { type: ['integer', 'object'], minimum: -1, ...limits() }

function limits(): object {
  const limit = { type: 'integer', minimum: -1 }
  return { required: ['soft', 'hard'], properties: { soft: limit, hard: limit }, additionalProperties: false }
}

const dependency = {
  type: ['string', 'object'],
  minLength: 1,
  member: 'property of a dependency',
  required: ['container'],
  additionalProperties: false,
  properties: { container: { type: 'string', minLength: 1 }, condition: { enum: ['started', 'completed', 'healthy'] } },
}

const privateOrHost = { enum: ['private', 'host'] }

export const nameSchema = {
  type: 'string',
  pattern: name,
  maxLength: 255,
  says: `letters, digits, '_', '.' and '-', the first one a letter or digit`,
} as const

export const optionsSchema = {
  type: 'object',
  member: 'option',
  additionalProperties: false,
  required: ['image'],
  properties: {
    image: {
      type: ['string', 'object'],
      minLength: 1,
      required: ['id'],
      properties: { id: { type: 'string', minLength: 1 } },
    },
    command: texts,
    entrypoint: { type: ['string', 'array'], noNul: true, items: text },
    env: { type: 'object', variables: true, additionalProperties: text },
    workdir: { type: 'string', absolute: true },
    user: { type: ['string', 'integer'], minimum: 0, maximum: maximumId, userName: true },
    name: nameSchema,
    hostname: {
      type: 'string',
      pattern: '^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?$',
      says: `at most 64 letters, digits, '-', '.' and '_'`,
    },
    labels: textMap,
    annotations: textMap,
    mounts: { type: 'array', items: { type: 'object', required: ['type'], properties: { type: { type: 'string' } } } },
    volumes: texts,
    tmpfs: texts,
    readOnly: flag,
    network: { type: ['string', 'array'], items: { type: 'string' } },
    ports: { type: 'array', items: { type: ['string', 'number', 'object'] } },
    networkAliases: texts,
    ip: { type: 'string' },
    ip6: { type: 'string' },
    mac: { type: 'string' },
    extraHosts: texts,
    hostGateway: flag,
    dns: { type: 'array', items: { type: 'string', address: true } },
    dnsSearch: {
      type: 'array',
      items: {
        type: 'string',
        pattern: '^(\\.|[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,252}[a-zA-Z0-9_.])?)$',
        says: `a domain, or '.' for none`,
      },
    },
    dnsOptions: {
      type: 'array',
      items: {
        type: 'string',
        pattern: '^[a-zA-Z][a-zA-Z0-9_-]*(:[0-9]+)?$',
        says: `an option of resolv.conf(5) such as 'ndots:2'`,
      },
    },
    ...limitProperties,
    devices: texts,
    hooks: hooksSchema,
    deviceCgroupRules: texts,
    oomScoreAdj: { type: 'integer', minimum: -1000, maximum: 1000 },
    shmSize: { type: ['string', 'number'], size: 1 },
    ulimits: {
      type: ['object', 'array', 'string'],
      pattern: '^host$',
      says: `'host', or limits by their names`,
      member: 'limit',
      additionalProperties: false,
      properties: Object.fromEntries(Object.keys(rlimitNumbers).map((key) => [key.slice(7).toLowerCase(), ulimit])),
      items: text,
    },
    sysctls: { type: 'object', additionalProperties: { type: ['string', 'number'], noNul: true } },
    capAdd: { type: 'array', items: { type: 'string', capability: true } },
    capDrop: { type: 'array', items: { type: 'string', capability: true } },
    seccomp: { type: ['string', 'object'], minLength: 1 },
    noNewPrivileges: flag,
    privileged: flag,
    mask: { type: 'array', items: { type: 'string', absolute: true } },
    unmask: { type: ['string', 'array'], items: text },
    landlock: landlockSchema,
    selinux: selinuxSchema,
    apparmor: apparmorSchema,
    ipc: privateOrHost,
    pidns: privateOrHost,
    uts: privateOrHost,
    ...userNamespaceProperties,
    umask: { type: ['string', 'integer'], mode: true, maximum: 0o777 },
    pod: {
      type: ['string', 'object'],
      minLength: 1,
      required: ['id'],
      properties: { id: { type: 'string', minLength: 1 } },
    },
    dependsOn: { type: 'array', items: dependency },
    initContainer: { enum: ['once', 'always'] },
    stopSignal: { type: ['string', 'integer'], signal: true },
    stopTimeout: { type: ['string', 'number'], duration: true },
    restart: { type: 'string', pattern: restartPattern, says: restartWords },
    health: {},
    init: flag,
    detach: flag,
    tty: { type: ['boolean', 'object'], ...terminalSize },
    stdin: flag,
    stdinOnce: flag,
    logDriver: { enum: logDrivers },
    logOptions: {
      type: 'object',
      member: 'option of a log driver',
      additionalProperties: false,
      properties: {
        path: {
          type: 'string',
          absolute: true,
          pattern: '^/(?!.*(^|/)\\.{1,2}(/|$)).*[^/]$',
          says: `the path of a file, without '.' and '..'`,
        },
        maxSize: { type: ['string', 'number'], size: minimumLogSize },
        maxFiles: { type: 'integer', minimum: 1, maximum: 1000 },
        tag: { type: 'string' },
      },
    },
    logOnFull: { enum: ['continue', 'stop'] },
    storageOpt: {
      type: 'object',
      member: 'option of storage',
      additionalProperties: false,
      properties: {
        size: { type: ['string', 'number'], size: minimumQuota },
        inodes: { type: 'integer', minimum: minimumInodes },
      },
    },
    platform: {
      type: 'string',
      pattern: '^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$',
      says: 'os/architecture such as linux/arm64',
    },
    ready: { type: ['object', 'array'] },
  },
} as const

const target = { type: 'string', absolute: true, pattern: '/[^/]', says: `a path below '/'` }
const mountFlags = { readOnly: flag, noSuid: flag, noDev: flag, noExec: flag }
const id = { type: 'integer', minimum: 0, maximum: maximumId }
const idRange = {
  type: 'object',
  additionalProperties: false,
  required: ['files', 'seen', 'size'],
  properties: { files: id, seen: id, size: { type: 'integer', minimum: 1 } },
}
const idRanges = { type: 'array', minItems: 1, items: idRange }
const idMap = {
  type: ['string', 'object'],
  pattern: '^container$',
  additionalProperties: false,
  required: ['uids', 'gids'],
  properties: { uids: idRanges, gids: idRanges, relative: flag },
}
const mountOwner = { chown: flag, idmap: idMap, relabel: { enum: ['private', 'shared'] } }

/** The shape of one of `mounts`, by its type. */
export const mountSchemas = {
  bind: {
    type: 'object',
    member: 'property of a bind mount',
    additionalProperties: false,
    required: ['source', 'target'],
    properties: {
      type: { const: 'bind' },
      source: { type: 'string', absolute: true },
      target,
      recursive: flag,
      propagation: { enum: ['private', 'slave', 'shared'] },
      ...mountFlags,
      ...mountOwner,
    },
  },
  image: {
    type: 'object',
    member: 'property of an image mount',
    additionalProperties: false,
    required: ['source', 'target'],
    properties: {
      type: { const: 'image' },
      source: { type: 'string', minLength: 1 },
      target,
      subpath: { type: 'string', noNul: true, minLength: 1, pattern: '^[^/]', says: 'a path in the image' },
      ...mountFlags,
    },
  },
  volume: {
    type: 'object',
    member: 'property of a volume mount',
    additionalProperties: false,
    required: ['target'],
    properties: {
      type: { const: 'volume' },
      source: { type: 'string', pattern: volumeName.source, says: volumeNameWords },
      target,
      subpath: { type: 'string', noNul: true, minLength: 1, pattern: '^[^/]', says: 'a path in the volume' },
      noCopy: flag,
      ...mountFlags,
      ...mountOwner,
    },
  },
  tmpfs: {
    type: 'object',
    member: 'property of a tmpfs mount',
    additionalProperties: false,
    required: ['target'],
    properties: {
      type: { const: 'tmpfs' },
      target,
      size: { type: ['string', 'number'], size: 1 },
      mode: { type: ['string', 'integer'], mode: true },
      ...mountFlags,
    },
  },
} as const

const timeout = { type: ['string', 'number'], duration: true }
const port = { type: 'integer', minimum: 1, maximum: 65535 }

/** The shape of one of `ready`, by the property that tells its kind. */
export const readySchemas = {
  http: {
    type: 'object',
    member: 'property of an http check',
    additionalProperties: false,
    required: ['http', 'port'],
    properties: {
      http: { type: 'string', pattern: '^/', says: `a path such as '/health'` },
      port,
      status: { type: 'integer', minimum: 100, maximum: 599 },
      timeout,
    },
  },
  port: {
    type: 'object',
    member: 'property of a port check',
    additionalProperties: false,
    required: ['port'],
    properties: { port, timeout },
  },
  log: {
    type: 'object',
    member: 'property of a log check',
    additionalProperties: false,
    required: ['log'],
    properties: { log: { regExp: true }, timeout },
  },
  healthy: {
    type: 'object',
    member: 'property of a health check',
    additionalProperties: false,
    required: ['healthy'],
    properties: { healthy: { const: true }, timeout },
  },
  command: {
    type: 'object',
    member: 'property of a command check',
    additionalProperties: false,
    required: ['command'],
    properties: { command: { ...texts, minItems: 1 }, timeout },
  },
} as const
