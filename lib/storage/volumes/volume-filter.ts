/** Which volumes a filter means. Pure. */
import type { Volume } from './volume.js'
import type { VolumeFilter } from './volume-options.js'

export function matchesFilter(volume: Volume, { name, driver, label, dangling, anonymous }: VolumeFilter): boolean {
  const labels = label === undefined ? [] : [label].flat()
  return (
    (name === undefined || volume.name.includes(name)) &&
    (driver === undefined || volume.driver === driver) &&
    (dangling === undefined || (volume.containers.length === 0) === dangling) &&
    (anonymous === undefined || volume.anonymous === anonymous) &&
    labels.every((text) => {
      const [key = '', ...value] = text.split('=')
      return Object.hasOwn(volume.labels, key) && (value.length === 0 || volume.labels[key] === value.join('='))
    })
  )
}
