import type { NewEvent } from '../event/event.js'
import type { ContainerRecord } from './record.js'

/** What all events of a container have in common. */
export function containerEvent({ id, name, image, options, holds, pod }: ContainerRecord): Omit<NewEvent, 'action'> {
  const { labels } = options
  return {
    type: holds === undefined ? 'container' : 'pod',
    id,
    name,
    ...(image === undefined ? {} : { image: image.name }),
    ...(pod === undefined ? {} : { pod: pod.id }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  }
}
