import type { NewEvent } from '../event/event.js'
import type { ContainerRecord } from './record.js'

/** What all events of a container have in common. */
export function containerEvent({ id, name, image, options }: ContainerRecord): Omit<NewEvent, 'action'> {
  const { labels } = options
  return {
    type: 'container',
    id,
    name,
    ...(image === undefined ? {} : { image: image.name }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  }
}
