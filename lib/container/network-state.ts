/**
 * What a running container has of networks, in a file of its run directory: it is gone with a reboot, as what it tells
 * of is, and other processes on the root read it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { NetworkStatus } from '../network/attachment.js'

export interface NetworkState extends NetworkStatus {
  /** It was connected to networks while it ran, of which its monitor knows nothing. */
  readonly changed: boolean
}

export const noNetworkState: NetworkState = { endpoints: [], ports: [], changed: false }

export function readNetworkState(path: string): NetworkState {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as NetworkState
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return noNetworkState
    throw error
  }
}

/** Whole or not at all, for whoever reads it meanwhile. */
export function writeNetworkState(path: string, state: NetworkState): void {
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
