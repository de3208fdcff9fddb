import type { EventAction, NewEvent } from '../event/event.js'
import type { ImageEvent } from '../storage/images-parts.js'

const actions: Readonly<Record<ImageEvent['type'], EventAction>> = {
  pulled: 'pull',
  loaded: 'load',
  imported: 'import',
  committed: 'commit',
  tagged: 'tag',
  untagged: 'untag',
  removed: 'remove',
}

/** An image's event as the journal keeps it: one for each name that it is about. */
export function imageEvents({ type, id, names }: ImageEvent): NewEvent[] {
  const event = { type: 'image', action: actions[type], id } as const
  return names.length === 0 ? [event] : names.map((name) => ({ ...event, name }))
}
