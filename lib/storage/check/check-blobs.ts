/** Every blob is what its digest says, is there when an image needs it, and is needed when it is there. */
import { PodlingError } from '../../errors.js'
import { verifyBlob } from '../../image/blob-bytes.js'
import { throwIfAborted } from '../../image/progress.js'
import type { ContentStore } from '../content.js'
import type { ImageRecord } from '../image.js'
import type { Findings } from './report.js'

/** @returns the blobs that are sound, and how many bytes were read */
export async function checkBlobs(
  content: ContentStore,
  records: readonly ImageRecord[],
  findings: Findings,
): Promise<{ sound: ReadonlySet<string>; count: number; bytes: number }> {
  const needed = new Map(records.flatMap((record) => record.blobs.map((digest) => [digest, record] as const)))
  const sound = new Set<string>()
  const seen = new Set<string>()
  let bytes = 0
  for await (const digest of content.list()) {
    throwIfAborted('check the root', findings.signal)
    seen.add(digest)
    const remove = (): Promise<void> => content.remove(digest)
    if (!needed.has(digest)) {
      await findings.add('blob-orphaned', digest, 'no image needs it', remove)
      continue
    }
    const size = await content.size(digest)
    bytes += size
    try {
      await verifyBlob(content, { digest, size })
      sound.add(digest)
    } catch (error) {
      if (!(error instanceof PodlingError)) throw error
      await findings.add('blob-altered', digest, `its bytes have changed; ${again(needed.get(digest))}`, remove)
    }
  }
  for (const [digest, record] of needed) {
    if (!seen.has(digest)) await findings.add('blob-missing', digest, again(record))
  }
  return { sound, count: seen.size, bytes }
}

function again(record: ImageRecord | undefined): string {
  return `pull or load ${record?.names[0] ?? record?.id ?? 'its image'} again`
}
