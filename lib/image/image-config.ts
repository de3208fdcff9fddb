/** The image configuration (OCI image spec config.md; Docker's is its ancestor), read strictly. Pure. */
import { isDigest } from './digest.js'
import { parseJson, type JsonReader } from './json.js'
import { normalizePlatform, type Platform } from './platform.js'

/** What an image says about the containers made from it. */
export interface ImageConfig {
  /** `''`, `user`, `uid`, `user:group`, `uid:gid`, ... */
  readonly user: string
  /** `KEY=value` each. */
  readonly env: readonly string[]
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  /** `''` for none, which means `/`. */
  readonly workingDir: string
  readonly exposedPorts: readonly ExposedPort[]
  /** Paths in the container that want a volume. */
  readonly volumes: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Such as `SIGTERM` or `15`. */
  readonly stopSignal?: string
  readonly healthcheck?: Healthcheck
  /** What runs the shell form of commands; of use to builders. */
  readonly shell?: readonly string[]
}

export interface ExposedPort {
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
}

/** Docker's HEALTHCHECK. Durations are milliseconds; 0 or absent: the default of whoever runs it. */
export interface Healthcheck {
  /** Empty: inherit. `['NONE']`, `['CMD', ...]` or `['CMD-SHELL', line]`. */
  readonly test: readonly string[]
  readonly interval?: number
  readonly timeout?: number
  readonly startPeriod?: number
  readonly startInterval?: number
  readonly retries?: number
}

/** One step of how the image was made, oldest first. */
export interface HistoryEntry {
  readonly created?: Date
  readonly createdBy?: string
  readonly author?: string
  readonly comment?: string
  /** True for a step that made no layer. */
  readonly emptyLayer: boolean
}

/** The whole configuration document. */
export interface ImageDocument {
  readonly platform: Platform
  readonly created?: Date
  readonly author?: string
  readonly config: ImageConfig
  /** Digests of the uncompressed layers, lowest first. */
  readonly diffIds: readonly string[]
  readonly history: readonly HistoryEntry[]
}

/** The configuration of an image that says nothing. */
export const emptyImageConfig: ImageConfig = {
  user: '',
  env: [],
  entrypoint: [],
  cmd: [],
  workingDir: '',
  exposedPorts: [],
  volumes: [],
  labels: {},
}

/**
 * Read an image configuration.
 * @throws {PodlingError} IMAGE_INVALID, which names the place
 */
export function parseImageDocument(bytes: Uint8Array, what: string): ImageDocument {
  const document = parseJson(bytes, what)
  const variant = document.get('variant').optionalString()
  const created = readDate(document.get('created'))
  const author = document.get('author').optionalString()
  const rootfs = document.get('rootfs')
  const type = rootfs.get('type').optionalString()
  if (type !== undefined && type !== 'layers') rootfs.get('type').fail(`must be "layers", got ${JSON.stringify(type)}`)
  return {
    platform: normalizePlatform({
      os: document.get('os').string(),
      architecture: document.get('architecture').string(),
      ...(variant === undefined ? {} : { variant }),
    }),
    ...(created === undefined ? {} : { created }),
    ...(author === undefined ? {} : { author }),
    config: document.get('config').present ? readConfig(document.get('config')) : emptyImageConfig,
    diffIds: rootfs.get('diff_ids').list(500).map(readDiffId),
    history: document.get('history').list().map(readHistory),
  }
}

function readDiffId(reader: JsonReader): string {
  const text = reader.string()
  return isDigest(text) ? text : reader.fail('must be sha256:<64 lower-case hex digits>')
}

function readConfig(config: JsonReader): ImageConfig {
  const stopSignal = config.get('StopSignal').optionalString()
  const shell = config.get('Shell').strings()
  const healthcheck = config.get('Healthcheck')
  return {
    user: config.get('User').optionalString() ?? '',
    env: config.get('Env').list().map(readVariable),
    entrypoint: config.get('Entrypoint').strings(),
    cmd: config.get('Cmd').strings(),
    workingDir: config.get('WorkingDir').optionalString() ?? '',
    exposedPorts: config
      .get('ExposedPorts')
      .entries()
      .map(([key, reader]) => readPort(key, reader)),
    volumes: config
      .get('Volumes')
      .entries()
      .map(([path]) => path),
    labels: config.get('Labels').stringMap(),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(healthcheck.present ? { healthcheck: readHealthcheck(healthcheck) } : {}),
    ...(shell.length === 0 ? {} : { shell }),
  }
}

function readVariable(reader: JsonReader): string {
  const text = reader.string()
  return text.indexOf('=') > 0 ? text : reader.fail(`must be KEY=value, got ${JSON.stringify(text.slice(0, 80))}`)
}

function readPort(key: string, reader: JsonReader): ExposedPort {
  const match = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(key)
  const port = Number(match?.[1])
  if (!match || port < 1 || port > 65535) return reader.fail('must be port/protocol such as 80/tcp')
  return { port, protocol: (match[2]?.toLowerCase() ?? 'tcp') as ExposedPort['protocol'] }
}

function readHealthcheck(reader: JsonReader): Healthcheck {
  const durations: Record<string, number> = {}
  for (const [name, key] of [
    ['interval', 'Interval'],
    ['timeout', 'Timeout'],
    ['startPeriod', 'StartPeriod'],
    ['startInterval', 'StartInterval'],
  ] as const) {
    // Go's time.Duration: nanoseconds.
    if (reader.get(key).present) durations[name] = reader.get(key).integer() / 1e6
  }
  const retries = reader.get('Retries')
  return {
    test: reader.get('Test').strings(),
    ...durations,
    ...(retries.present ? { retries: retries.integer() } : {}),
  }
}

function readHistory(reader: JsonReader): HistoryEntry {
  const created = readDate(reader.get('created'))
  const createdBy = reader.get('created_by').optionalString()
  const author = reader.get('author').optionalString()
  const comment = reader.get('comment').optionalString()
  return {
    ...(created === undefined ? {} : { created }),
    ...(createdBy === undefined ? {} : { createdBy }),
    ...(author === undefined ? {} : { author }),
    ...(comment === undefined ? {} : { comment }),
    emptyLayer: reader.get('empty_layer').value === true,
  }
}

/** RFC 3339. Go's zero time, the year 1, means "not known". */
function readDate(reader: JsonReader): Date | undefined {
  const text = reader.optionalString()
  if (text === undefined || text.startsWith('0001-01-01T00:00:00')) return undefined
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(time)
    ? reader.fail(`must be a time such as 2024-05-01T12:00:00Z, got ${JSON.stringify(text.slice(0, 80))}`)
    : new Date(time)
}
