import { open } from 'node:fs/promises'

/** Make a file durable, or of a directory the names in it (fsync(2)). */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
