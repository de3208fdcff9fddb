/**
 * What happens on a root, as the journal keeps it: one line of JSON an event, written by whichever process did it, or by
 * a container's monitor (native/journal.c). Pure.
 */

/** What an event is about. `system` is the journal itself: events were lost. */
export type EventType = 'container' | 'image' | 'volume' | 'network' | 'pod' | 'system'

/**
 * What happened, in the words of podman-events(1). The last, of `system`, stands where a reader was so slow that the
 * journal went on without it.
 */
export type EventAction =
  | 'create'
  | 'start'
  | 'died'
  | 'remove'
  | 'pause'
  | 'unpause'
  | 'stop'
  | 'kill'
  | 'restart'
  | 'rename'
  | 'update'
  | 'exec'
  | 'exec_died'
  | 'attach'
  | 'health_status'
  | 'checkpoint'
  | 'restore'
  | 'commit'
  | 'pull'
  | 'push'
  | 'load'
  | 'save'
  | 'import'
  | 'tag'
  | 'untag'
  | 'connect'
  | 'disconnect'
  | 'prune'
  | 'events_lost'

/** Something that happened on a root, whichever process did it. */
export interface RuntimeEvent {
  readonly time: Date
  readonly type: EventType
  readonly action: EventAction
  /** Of a container, image or pod: its id. */
  readonly id?: string
  /** Of a container, volume, network or pod: its name then. Of an image: the name that it was about. */
  readonly name?: string
  /** Of a container: the name that its image was asked for by. */
  readonly image?: string
  /** Of a container in a pod: the pod's id. */
  readonly pod?: string
  /** Of a container, volume, network or pod. */
  readonly labels?: Readonly<Record<string, string>>
  /** Of `died` and `exec_died`: 128 + signal when a signal ended it. */
  readonly exitCode?: number
  /** Of `died`: the kernel killed a process of it for want of memory. */
  readonly oomKilled?: boolean
  /** Of `health_status`: `healthy` or `unhealthy`. */
  readonly health?: string
  /** What else belongs to it, such as the `container` of a network's `connect`. */
  readonly attributes?: Readonly<Record<string, string>>
}

/** An event as it is told to the journal, which notes the time. */
export type NewEvent = Omit<RuntimeEvent, 'time'>

/** Takes note of what has happened; never throws. */
export type TellEvent = (event: NewEvent) => void

/** A line of the journal, without its newline. @param time milliseconds since the epoch */
export function encodeEvent(time: number, event: NewEvent): string {
  return JSON.stringify({ time, ...event })
}

/**
 * The members of an event that are the same for all events of one thing, as text between the braces: what a monitor puts
 * its own members in front of.
 */
export function eventMembers(event: Omit<NewEvent, 'action'>): string {
  return JSON.stringify(event).slice(1, -1)
}

const types: ReadonlySet<unknown> = new Set<EventType>(['container', 'image', 'volume', 'network', 'pod', 'system'])

/** An event of the journal. `undefined` for a line that is none: one cut off by a full disk, or another version's. */
export function decodeEvent(line: string): RuntimeEvent | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { time, ...event } = value as Record<string, unknown>
  if (typeof time !== 'number' || !types.has(event['type']) || typeof event['action'] !== 'string') return undefined
  return { ...(event as unknown as NewEvent), time: new Date(time) }
}
