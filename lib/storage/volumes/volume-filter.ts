/** Which volumes a filter means. Pure. */
import type { Volume } from './volume.js'
import type { VolumeFilter } from './volume-options.js'
import { hasLabels } from '../../schema/labels.js'

export function matchesFilter(volume: Volume, { name, driver, label, dangling, anonymous }: VolumeFilter): boolean {
  return (
    (name === undefined || volume.name.includes(name)) &&
    (driver === undefined || volume.driver === driver) &&
    (dangling === undefined || (volume.containers.length === 0) === dangling) &&
    (anonymous === undefined || volume.anonymous === anonymous) &&
    hasLabels(volume.labels, label)
  )
}
