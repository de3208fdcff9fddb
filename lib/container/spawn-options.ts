import type { TerminalSize } from './terminal/size.js'

/** How a further process runs in a container. What isn't given is as for the container's own command. */
export interface SpawnOptions {
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** The working directory, made where it is missing. @default the container's */
  readonly workdir?: string
  /** `name`, `uid`, `name:group` or `uid:gid`, looked up in the container's /etc/passwd. @default the container's */
  readonly user?: string
  /**
   * All capabilities for root, as `podman exec --privileged`; another user gets what programs with file capabilities or the
   * set-user-id bit then give it. @default false
   */
  readonly privileged?: boolean
  /**
   * A terminal as its standard streams, of this size, or of none that it knows of, until {@link ContainerProcess.resize}. All
   * its output is on `stdout`. The end of its input is typed, as Ctrl-D.
   * @default false
   */
  readonly tty?: boolean | TerminalSize
  /**
   * Keys that {@link ContainerProcess.detach | detach} when they are written to its standard input, as of
   * {@link AttachOptions.detachKeys}. `exec()` knows none.
   * @default 'ctrl-p,ctrl-q' with a terminal, else ''
   */
  readonly detachKeys?: string
  /** Ends the process with SIGKILL. */
  readonly signal?: AbortSignal
}

/** All of them. */
export const spawnOptionNames = {
  env: true,
  workdir: true,
  user: true,
  privileged: true,
  tty: true,
  detachKeys: true,
  signal: true,
} as const
