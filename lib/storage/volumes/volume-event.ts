import type { EventAction, NewEvent } from '../../event/event.js'
import type { VolumeRecord } from './volume.js'

export function volumeEvent(
  { name, labels = {} }: Pick<VolumeRecord, 'name'> & Partial<Pick<VolumeRecord, 'labels'>>,
  action: EventAction,
): NewEvent {
  return { type: 'volume', action, name, ...(Object.keys(labels).length === 0 ? {} : { labels }) }
}
