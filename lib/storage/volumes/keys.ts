/** The keys of encrypted volumes, in the memory of this process alone. */
import { PodlingError } from '../../errors.js'
import { show } from '../../schema/faults.js'

/** A passphrase of one line, or bytes, which gocryptfs(1) gets as hexadecimal digits and cryptsetup(8) as they are. */
export type EncryptionKey = string | Uint8Array

/** One that has been given. */
export interface VolumeKey {
  readonly bytes: Buffer
  /** It is a passphrase. */
  readonly text: boolean
}

/** gocryptfs reads at most 2048 bytes of a password. */
const longestKey = 1024

export class VolumeKeys {
  readonly #keys = new Map<string, VolumeKey>()

  /** @throws PodlingError `INVALID_OPTION`, without the key */
  put(volume: string, key: EncryptionKey): void {
    const fault = encryptionKeyFault(key)
    if (fault !== undefined) throw new PodlingError('INVALID_OPTION', `encryptionKey: ${fault}`)
    this.forget(volume)
    // A copy: the caller may blank out his own.
    this.#keys.set(volume, { bytes: Buffer.from(key as Uint8Array), text: typeof key === 'string' })
  }

  has(volume: string): boolean {
    return this.#keys.has(volume)
  }

  /** @throws PodlingError `VOLUME_LOCKED` */
  get(volume: string): VolumeKey {
    const key = this.#keys.get(volume)
    if (key !== undefined) return key
    throw new PodlingError(
      'VOLUME_LOCKED',
      `use volume ${volume}: it is encrypted, and this process has not been given its key; call volumes.unlock('${volume}', key)`,
    )
  }

  forget(volume: string): void {
    this.#keys.get(volume)?.bytes.fill(0)
    this.#keys.delete(volume)
  }

  clear(): void {
    for (const volume of [...this.#keys.keys()]) this.forget(volume)
  }
}

/** What is wrong with a key, without telling it. */
export function encryptionKeyFault(key: unknown): string | undefined {
  if (typeof key === 'string') {
    if (key === '' || /[\r\n\0]/.test(key)) return 'must be a passphrase of one line'
    return Buffer.byteLength(key) > longestKey ? `must be at most ${String(longestKey)} bytes` : undefined
  }
  if (!(key instanceof Uint8Array)) return `must be a string or bytes, got ${show(typeof key)}`
  if (key.length < 16 || key.length * 2 > longestKey) return 'must be 16 to 512 bytes'
  return undefined
}
