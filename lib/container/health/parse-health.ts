/** The option `health`, and what it makes of the image's HEALTHCHECK. Pure. */
import type { Healthcheck, ImageConfig } from '../../image/image-config.js'
import { PodlingError } from '../../errors.js'
import { faultFinder, show, type Fault, under } from '../../schema/faults.js'
import { parseDuration, type Duration } from '../../schema/quantities.js'
import { optionKeywords } from '../options-schema.js'
import type { HealthOption } from './options.js'

/** What is checked. */
export type HealthTest =
  | { readonly kind: 'command'; readonly argv: readonly string[] }
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'http'; readonly port: number; readonly path: string }

/** A health check with all that belongs to it. Times are milliseconds. */
export interface HealthSettings {
  readonly test: HealthTest
  readonly interval: number
  readonly timeout: number
  readonly retries: number
  readonly startPeriod: number
  readonly startInterval: number
  readonly onFailure: 'none' | 'kill' | 'stop' | 'restart'
}

/** What the options ask for; undefined members are the image's. `none`: no check, whatever the image says. */
export type HealthRequest = 'none' | Partial<HealthSettings>

const defaults = { interval: 30_000, timeout: 30_000, retries: 3, startPeriod: 0, startInterval: 5000 } as const
const kinds = ['command', 'tcp', 'http'] as const

const port = { type: 'integer', minimum: 1, maximum: 65535 }
const duration = { type: ['string', 'number'], duration: true }
const text = { type: 'string', minLength: 1, noNul: true }

const findFaults = faultFinder(
  {
    type: 'object',
    member: 'property of a health check',
    additionalProperties: false,
    properties: {
      command: {
        type: ['string', 'array'],
        minLength: 1,
        minItems: 1,
        noNul: true,
        items: { type: 'string', noNul: true },
      },
      tcp: port,
      http: { ...text, pattern: '^/[!-~]*$', says: `a path such as '/health'` },
      port,
      interval: duration,
      timeout: duration,
      retries: { type: 'integer', minimum: 1, maximum: 2 ** 31 - 1 },
      startPeriod: duration,
      startInterval: duration,
      onFailure: { enum: ['none', 'kill', 'stop', 'restart'] },
    },
  },
  optionKeywords,
)

/** @returns undefined: as the image says */
export function parseHealth(health: unknown, faults: Fault[]): HealthRequest | undefined {
  if (health === undefined) return undefined
  if (health === false || health === 'none') return 'none'
  if (typeof health !== 'object' || health === null || Array.isArray(health)) {
    faults.push({
      path: 'health',
      message: `must be 'none', false or an object such as { http: '/' }, got ${show(health)}`,
    })
    return undefined
  }
  const wrong = findFaults(health)
  faults.push(...wrong.map((fault) => under('health', fault)))
  const bad = new Set(wrong.map(({ path }) => path.split('[')[0]))
  const option = Object.fromEntries(Object.entries(health).filter(([name]) => !bad.has(name))) as HealthOption
  faults.push(...contradictions(option).map((fault) => under('health', fault)))
  const { retries, onFailure } = option
  const test = testOf(option)
  const times = Object.fromEntries(
    (['interval', 'timeout', 'startPeriod', 'startInterval'] as const).flatMap((name) => {
      const time = milliseconds(option[name])
      return time === undefined ? [] : [[name, time]]
    }),
  )
  return {
    ...(test === undefined ? {} : { test }),
    ...times,
    ...(retries === undefined ? {} : { retries }),
    ...(onFailure === undefined ? {} : { onFailure }),
  }
}

function milliseconds(given: Duration | undefined): number | undefined {
  const time = given === undefined ? undefined : parseDuration(given)
  return time === undefined ? undefined : Math.ceil(time)
}

function contradictions(option: HealthOption): Fault[] {
  const faults: Fault[] = []
  const given = kinds.filter((kind) => option[kind] !== undefined)
  if (given.length > 1) {
    faults.push({
      path: given.at(-1) ?? '',
      message: `is one check too many beside ${given.slice(0, -1).join(' and ')}`,
    })
  }
  if (option.port !== undefined && option.http === undefined) {
    faults.push({ path: 'port', message: 'has no effect without http; for a port alone use tcp' })
  }
  for (const name of ['interval', 'timeout', 'startInterval'] as const) {
    if (milliseconds(option[name]) === 0)
      faults.push({ path: name, message: `must be above 0, got ${show(option[name])}` })
  }
  return faults
}

function testOf({ command, tcp, http, port }: HealthOption): HealthTest | undefined {
  if (typeof command === 'string') return { kind: 'command', argv: ['/bin/sh', '-c', command] }
  if (command !== undefined) return { kind: 'command', argv: command }
  if (tcp !== undefined) return { kind: 'tcp', port: tcp }
  return http === undefined ? undefined : { kind: 'http', port: port ?? 80, path: http }
}

/** The check of an image, by Docker's rules; a list without one of their words is a command, as with Podman. */
function imageTest({ test }: Healthcheck, shell: ImageConfig['shell']): HealthTest | undefined {
  const [word = 'NONE', ...rest] = test
  if (word === 'NONE' || word === '') return undefined
  if (word === 'CMD-SHELL') return { kind: 'command', argv: [...(shell ?? ['/bin/sh', '-c']), rest.join(' ')] }
  const argv = word === 'CMD' ? rest : test
  return argv.length === 0 ? undefined : { kind: 'command', argv }
}

/**
 * The check of a container.
 * @returns undefined: it has none
 * @throws PodlingError `INVALID_OPTION` for the details of a check that neither the options nor the image name
 */
export function settleHealth(asked: HealthRequest | undefined, config: ImageConfig): HealthSettings | undefined {
  if (asked === 'none') return undefined
  const { healthcheck, shell } = config
  const own = healthcheck === undefined ? undefined : imageTest(healthcheck, shell)
  const test = asked?.test ?? own
  if (test === undefined) {
    if (asked === undefined) return undefined
    throw new PodlingError(
      'INVALID_OPTION',
      `container options: health: must have one of ${kinds.join(', ')}, as the image has no health check`,
    )
  }
  const interval = asked?.interval ?? (healthcheck?.interval || defaults.interval)
  return {
    test,
    interval: Math.ceil(interval),
    timeout: Math.ceil(asked?.timeout ?? (healthcheck?.timeout || defaults.timeout)),
    retries: asked?.retries ?? (healthcheck?.retries || defaults.retries),
    startPeriod: Math.ceil(asked?.startPeriod ?? healthcheck?.startPeriod ?? defaults.startPeriod),
    startInterval: Math.ceil(
      asked?.startInterval ?? (healthcheck?.startInterval || Math.min(defaults.startInterval, interval)),
    ),
    onFailure: asked?.onFailure ?? 'none',
  }
}
