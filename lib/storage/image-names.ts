/** Names of images: canonical references with a tag. Pure. */
import { PodlingError } from '../errors.js'
import { formatReference, parseReference } from '../image/reference.js'
import type { ImageRecord } from './image.js'

/** A name to give, in canonical form. */
export function tagName(ref: string): string {
  const reference = parseReference(ref)
  if (reference.digest === undefined) return formatReference(reference)
  throw new PodlingError(
    'INVALID_REFERENCE',
    `image reference ${JSON.stringify(ref)}: a name may not have a digest; write a tag`,
  )
}

/** The name of the record that this text is. */
export function nameIn(record: ImageRecord, text: string): string | undefined {
  return record.names.find((name) => {
    try {
      return formatReference(parseReference(text)) === name
    } catch {
      return false
    }
  })
}
