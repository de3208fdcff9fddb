/** Tags of log entries: texts with fields in them, as the templates of Docker and Podman write them. Pure. */
import { nearestName } from '../../schema/nearest-name.js'
import type { ContainerRecord } from '../record.js'

const fields: Readonly<Record<string, (record: TagSource) => string>> = {
  Name: ({ name }) => name,
  ID: ({ id }) => id.slice(0, 12),
  FullID: ({ id }) => id,
  ImageName: ({ image }) => image?.name ?? '',
  ImageID: ({ image }) => bare(image?.id).slice(0, 12),
  ImageFullID: ({ image }) => bare(image?.id),
}

export type TagSource = Pick<ContainerRecord, 'id' | 'name' | 'image'>

function bare(id = ''): string {
  return id.replace(/^sha256:/, '')
}

/** What is wrong with a template; `undefined`: nothing. */
export function tagFault(template: string): string | undefined {
  // A line of its own would be a field of its own, of the container's choice.
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x1f\x7f]/.test(template)) return 'must hold no control characters'
  if (Buffer.byteLength(template) > 1024) return 'must have at most 1024 bytes'
  const rest = template.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (whole, name: string) =>
    Object.hasOwn(fields, name) ? '' : whole,
  )
  const wrong = /\{\{\s*(.*?)\s*(\}\}|$)/.exec(rest)
  if (wrong === null) return undefined
  const name = (wrong[1] ?? '').replace(/^\./, '')
  const near = nearestName(name, Object.keys(fields))
  const hint = near === undefined ? `; there are ${Object.keys(fields).map(written).join(', ')}` : ''
  return `has no field {{${wrong[1] ?? ''}${wrong[2] ?? ''}${near === undefined ? hint : `; did you mean ${written(near)}?`}`
}

function written(name: string): string {
  return `{{.${name}}}`
}

/** @param template one without a {@link tagFault} */
export function renderTag(template: string, source: TagSource): string {
  return template.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (_, name: string) => fields[name]?.(source) ?? '')
}
