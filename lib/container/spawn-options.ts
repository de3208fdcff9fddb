/** How a further process runs in a container. What isn't given is as for the container's own command. */
export interface SpawnOptions {
  /** Further environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** The working directory, made where it is missing. @default the container's */
  readonly workdir?: string
  /** `name`, `uid`, `name:group` or `uid:gid`, looked up in the container's /etc/passwd. @default the container's */
  readonly user?: string
  /** All capabilities, as `podman exec --privileged`. @default false */
  readonly privileged?: boolean
  /** Ends the process with SIGKILL. */
  readonly signal?: AbortSignal
}

/** All of them. */
export const spawnOptionNames = { env: true, workdir: true, user: true, privileged: true, signal: true } as const
