/**
 * What a running container has of networks, in a file of its run directory: it is gone with a reboot, as what it tells
 * of is, and other processes on the root read it.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { NetworkStatus } from '../network/attachment.js'

export interface NetworkState extends NetworkStatus {
  /** It was connected to networks while it ran, of which its monitor knows nothing. */
  readonly changed: boolean
}

export const noNetworkState: NetworkState = { endpoints: [], ports: [], changed: false }

export function readNetworkState(path: string): NetworkState {
  if (!existsSync(path)) return noNetworkState
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as NetworkState
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return noNetworkState
    throw error
  }
}

/** Whole or not at all, for whoever reads it meanwhile. Of nothing there is no file. */
export function writeNetworkState(path: string, state: NetworkState): void {
  if (!state.changed && state.endpoints.length === 0 && state.ports.length === 0) {
    forgetNetworkState(path)
    return
  }
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

export function forgetNetworkState(path: string): void {
  // Mostly there is none, and to be told so by an exception costs more than to ask.
  if (existsSync(path)) rmSync(path, { force: true })
}
