import type { EventAction, NewEvent } from '../event/event.js'
import type { NetworkRecord } from './network-record.js'

/** @param container the id of the one that came or went */
export function networkEvent({ id, name, labels }: NetworkRecord, action: EventAction, container?: string): NewEvent {
  return {
    type: 'network',
    action,
    id,
    name,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(container === undefined ? {} : { attributes: { container } }),
  }
}
