import type { CommandLine } from './command-line.js'
import type { Log } from './log.js'
import type { Store } from './store.js'

/** What every command has. */
export interface Context {
  readonly store: Store
  readonly log: Log
  readonly systemdCgroup: boolean
  /** The path of CRIU. @default found along `path` */
  readonly criu?: string
  /** PATH of environ(7). */
  readonly path: string
  readonly line: CommandLine
  /** How many descriptors from 3 on systemd has passed (sd_listen_fds(3)). */
  readonly listenFds: number
}

/** What a command prints, whole. */
export type Print = (text: string) => void
