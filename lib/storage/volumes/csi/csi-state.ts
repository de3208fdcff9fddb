/**
 * What a volume's CSI driver has been asked for, in a file of the volume's directory. It is written before each call, so
 * that after a crash everything that may have been done is known and can be taken back.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from '../../file-error.js'
import type { NotedSecrets } from './csi-secrets.js'

export interface CsiState extends NotedSecrets {
  /** The name that CreateVolume knows it by: whoever asks again with it gets the same volume. */
  readonly name: string
  readonly volumeId?: string
  readonly volumeContext?: Readonly<Record<string, string>>
  /** Podling made it, and deletes it. */
  readonly made?: boolean
  /** ControllerPublishVolume was called, for this node. */
  readonly nodeId?: string
  readonly publishContext?: Readonly<Record<string, string>>
  /** NodeStageVolume was called. */
  readonly staged?: boolean
  /** Bytes that ControllerExpandVolume has made of it and NodeExpandVolume has not yet. */
  readonly expandTo?: number
  /** The containers that NodePublishVolume was called for. */
  readonly published: readonly string[]
}

export function readState(directory: string): CsiState {
  const path = statePath(directory)
  try {
    if (!existsSync(path)) return { name: `podling-${randomUUID()}`, published: [] }
    return JSON.parse(readFileSync(path, 'utf8')) as CsiState
  } catch (error) {
    throw fileError(error, `read ${path}`)
  }
}

export function writeState(directory: string, state: CsiState): void {
  const path = statePath(directory)
  try {
    writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600, flush: true })
    renameSync(`${path}.new`, path)
  } catch (error) {
    throw fileError(error, `write ${path}`)
  }
}

function statePath(directory: string): string {
  return join(directory, 'csi.json')
}
