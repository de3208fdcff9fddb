import { PodlingError } from '../errors.js'
import { formatFaults, show, type Fault } from '../schema/faults.js'
import { checkKnown } from '../schema/known-options.js'
import type { EventAction, EventType, RuntimeEvent } from './event.js'
import { hasLabels } from '../schema/labels.js'

/** Which events to give. All that is named must fit; of several values of one filter, one must. */
export interface EventFilters {
  readonly type?: EventType | readonly EventType[]
  readonly action?: EventAction | readonly EventAction[]
  /** A container's name or id, or the beginning of the id. */
  readonly container?: string | readonly string[]
  /** An image's name or id; of a container, the image it was made from. */
  readonly image?: string | readonly string[]
  readonly volume?: string | readonly string[]
  readonly network?: string | readonly string[]
  /** A pod's name or id, or the beginning of the id; by the id its containers as well. */
  readonly pod?: string | readonly string[]
  /** `'key'` or `'key=value'`; of several, all must fit. */
  readonly label?: string | readonly string[]
}

export interface EventOptions {
  /** Begin with the events kept from this time on. @default those that come from now on; all, where `follow` is false */
  readonly since?: Date
  /** End at this time. @default never */
  readonly until?: Date
  /** Go on with what happens, from any process, until `until` or `signal`, or until the runtime is closed. @default true */
  readonly follow?: boolean
  readonly filters?: EventFilters
  /** Ends the iteration quietly. */
  readonly signal?: AbortSignal
}

const FILTERS = { type: true, action: true, container: true, image: true, volume: true, network: true, pod: true, label: true } as const // prettier-ignore

/** @throws PodlingError `INVALID_OPTION` with all mistakes at once */
export function checkEventOptions(options: EventOptions): void {
  const what = 'read the events'
  checkKnown(what, options, { since: true, until: true, follow: true, filters: true, signal: true })
  checkKnown(`${what}: filters`, options.filters ?? {}, FILTERS)
  const faults: Fault[] = []
  for (const name of ['since', 'until'] as const) {
    const time: unknown = options[name]
    if (time !== undefined && !(time instanceof Date && !Number.isNaN(time.getTime()))) {
      faults.push({ path: name, message: `must be a Date, got ${show(time)}` })
    }
  }
  for (const [name, value] of Object.entries(options.filters ?? {}) as [string, unknown][]) {
    if (value === undefined || [value].flat().every((one) => typeof one === 'string' && one !== '')) continue
    faults.push({ path: `filters.${name}`, message: `must be a text or several, got ${show(value)}` })
  }
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults(what, faults))
}

/** Whether an event is wanted. Pure. */
export function eventFilter({ since, until, filters = {} }: EventOptions): (event: RuntimeEvent) => boolean {
  const from = since?.getTime() ?? -Infinity
  const to = until?.getTime() ?? Infinity
  const tests = Object.entries(filters).flatMap(([name, value]) =>
    value === undefined ? [] : [testOf(name as keyof EventFilters, [value].flat() as readonly string[])],
  )
  return (event) => {
    const time = event.time.getTime()
    // That events were lost concerns every reader.
    if (event.type === 'system') return time < to
    return time >= from && time < to && tests.every((test) => test(event))
  }
}

function testOf(filter: keyof EventFilters, wanted: readonly string[]): (event: RuntimeEvent) => boolean {
  switch (filter) {
    case 'type':
      return ({ type }) => wanted.includes(type)
    case 'action':
      return ({ action }) => wanted.includes(action)
    case 'image':
      return ({ type, id = '', name, image }) =>
        type === 'container'
          ? wanted.includes(image ?? '')
          : type === 'image' && wanted.some((one) => one === name || isId(one, id))
    case 'label':
      return ({ labels = {} }) => hasLabels(labels, wanted)
    case 'pod':
      return ({ type, id = '', name, pod = '' }) =>
        type === 'pod'
          ? wanted.some((one) => one === name || isId(one, id))
          : type === 'container' && wanted.some((one) => isId(one, pod))
    case 'container':
    case 'volume':
    case 'network':
      return ({ type, id = '', name }) => type === filter && wanted.some((one) => one === name || isId(one, id))
  }
}

function isId(given: string, id: string): boolean {
  return given.length >= 3 && id.replace(/^sha256:/, '').startsWith(given.replace(/^sha256:/, ''))
}
