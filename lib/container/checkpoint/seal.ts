/**
 * How a root knows its own checkpoints: their descriptions name the digest of every file, and carry a code (HMAC-SHA256)
 * by a key that never leaves the root's database. One that was changed, or made elsewhere, has none that fits.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../../storage/database.js'
import type { FileDigests } from './file-digests.js'
import { FILES } from './files.js'

/** The digest of each file of a checkpoint but its description, by its name in it; SHA-256, hexadecimal. */
export type CheckpointDigests = Readonly<Record<string, string>>

export async function digestsOf(directory: string, files: FileDigests): Promise<CheckpointDigests> {
  const images = await readdir(join(directory, FILES.images))
  const digests: Record<string, string> = {}
  for (const name of [FILES.changes, ...images.map((image) => `${FILES.images}/${image}`).sort()]) {
    digests[name] = await files.of(join(directory, name))
  }
  return digests
}

/** The key of a root, made with its first checkpoint. */
export async function sealingKey(database: Database): Promise<Buffer> {
  const table = database.table<string>('checkpoint-key')
  const known = table.get('key')
  if (known !== undefined) return Buffer.from(known, 'hex')
  return database.transaction(() => {
    const key = table.get('key') ?? randomBytes(32).toString('hex')
    void table.put('key', key)
    return Buffer.from(key, 'hex')
  })
}

/** The code of a description's text. */
export function sealOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

export function isSealed(key: Buffer, text: string, seal: string): boolean {
  const expected = Buffer.from(sealOf(key, text), 'hex')
  const given = Buffer.from(seal, 'hex')
  return given.length === expected.length && timingSafeEqual(given, expected)
}
