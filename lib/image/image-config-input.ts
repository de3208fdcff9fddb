/** The configuration of an image as a caller writes it, checked and encoded as the OCI document. Pure. */
import { PodlingError } from '../errors.js'
import { encodeHealthcheck } from './healthcheck-input.js'
import type { ExposedPort, Healthcheck } from './image-config.js'
import type { Platform } from './platform.js'

/** What the containers of a new image do unless they say otherwise. All of it is optional. */
export interface ImageConfigInput {
  /** `user`, `uid`, `user:group` or `uid:gid`. @default root */
  readonly user?: string
  /** Either `['KEY=value']` or `{ KEY: 'value' }`. */
  readonly env?: readonly string[] | Readonly<Record<string, string>>
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** An absolute path. @default '/' */
  readonly workingDir?: string
  /** `80`, `'80/tcp'` or `{ port: 80, protocol: 'tcp' }` each. */
  readonly exposedPorts?: readonly (number | string | ExposedPort)[]
  /** Absolute paths that want a volume. */
  readonly volumes?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** Such as `'SIGINT'`. @default SIGTERM */
  readonly stopSignal?: string
  /** How its containers are checked. `{ test: ['NONE'] }`: not at all. */
  readonly healthcheck?: Healthcheck
}

export interface ImageDocumentInput {
  readonly config: ImageConfigInput
  readonly platform: Platform
  readonly created: Date
  readonly diffIds: readonly string[]
  readonly history: readonly Readonly<Record<string, string>>[]
}

/** Reads one key of the input; adds to `faults` what is wrong with it. Gives the value of the OCI key. */
type Encoder = (value: unknown, at: string, faults: string[]) => unknown

const encoders: Readonly<Record<keyof ImageConfigInput, readonly [string, Encoder]>> = {
  user: ['User', text],
  env: ['Env', environment],
  entrypoint: ['Entrypoint', texts],
  cmd: ['Cmd', texts],
  workingDir: ['WorkingDir', path],
  exposedPorts: ['ExposedPorts', ports],
  volumes: [
    'Volumes',
    (value, at, faults) => asSet(list(value, at, faults).map((one, i) => path(one, element(at, i), faults))),
  ],
  labels: ['Labels', textMap],
  stopSignal: ['StopSignal', text],
  healthcheck: ['Healthcheck', encodeHealthcheck],
}

/**
 * The bytes of an image configuration (OCI image spec config.md).
 * @throws {PodlingError} INVALID_OPTION, all mistakes at once, each with its path
 */
export function encodeImageDocument(input: ImageDocumentInput): Buffer {
  const { platform, created, diffIds, history } = input
  return Buffer.from(
    JSON.stringify({
      created: created.toISOString(),
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      config: encodeConfig(input.config),
      rootfs: { type: 'layers', diff_ids: diffIds },
      history,
    }),
  )
}

/** @throws {PodlingError} INVALID_OPTION */
export function encodeConfig(config: ImageConfigInput): Record<string, unknown> {
  const faults: string[] = []
  const encoded: [string, unknown][] = []
  for (const [key, value] of Object.entries(config) as [string, unknown][]) {
    if (value === undefined) continue
    const encoder = Object.hasOwn(encoders, key) ? encoders[key as keyof ImageConfigInput] : undefined
    if (encoder) encoded.push([encoder[0], encoder[1](value, `config.${key}`, faults)])
    else faults.push(unknownKey(key))
  }
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', faults.join('\n'))
  return Object.fromEntries(encoded)
}

function unknownKey(key: string): string {
  const meant = Object.entries(encoders).find(([, [oci]]) => oci.toLowerCase() === key.toLowerCase())?.[0]
  return `config.${key}: is not known; ${meant === undefined ? `use ${Object.keys(encoders).join(', ')}` : `write ${meant}`}`
}

function text(value: unknown, at: string, faults: string[]): string {
  if (typeof value === 'string' && !value.includes('\0')) return value
  faults.push(`${at}: must be a string without NUL, got ${shown(value)}`)
  return ''
}

function path(value: unknown, at: string, faults: string[]): string {
  const result = text(value, at, faults)
  if (typeof value === 'string' && !value.startsWith('/'))
    faults.push(`${at}: must be an absolute path, got ${shown(value)}`)
  return result
}

function list(value: unknown, at: string, faults: string[]): unknown[] {
  if (Array.isArray(value)) return value
  faults.push(`${at}: must be a list, got ${shown(value)}`)
  return []
}

function texts(value: unknown, at: string, faults: string[]): string[] {
  return list(value, at, faults).map((one, index) => text(one, element(at, index), faults))
}

function textMap(value: unknown, at: string, faults: string[]): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    faults.push(`${at}: must be an object of strings, got ${shown(value)}`)
    return {}
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, text(one, `${at}.${key}`, faults)]))
}

function environment(value: unknown, at: string, faults: string[]): string[] {
  const entries = Array.isArray(value)
    ? texts(value, at, faults)
    : Object.entries(textMap(value, at, faults)).map(([key, one]) => `${key}=${one}`)
  for (const [index, entry] of entries.entries()) {
    if (entry.indexOf('=') < 1) faults.push(`${element(at, index)}: must be KEY=value, got ${shown(entry)}`)
  }
  return entries
}

function ports(value: unknown, at: string, faults: string[]): Record<string, object> {
  return asSet(
    list(value, at, faults).map((one, index) => {
      const { port, protocol } = portOf(one)
      const spelled = [port, ...(protocol === undefined ? [] : [protocol])].join('/')
      const match = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(spelled)
      const number = Number(match?.[1])
      if (match && number >= 1 && number <= 65535) return `${String(number)}/${match[2] ?? 'tcp'}`
      faults.push(`${element(at, index)}: must be 1..65535, with /tcp, /udp or /sctp or without, got ${shown(one)}`)
      return ''
    }),
  )
}

function portOf(value: unknown): { port?: unknown; protocol?: unknown } {
  return typeof value === 'object' && value !== null ? value : { port: value }
}

function element(at: string, index: number): string {
  return `${at}[${String(index)}]`
}

/** Go writes a set as a map of empty structs. */
function asSet(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]))
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) as string | undefined
  return (json ?? String(value)).slice(0, 100)
}
