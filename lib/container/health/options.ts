import type { Duration } from '../../schema/quantities.js'

/**
 * A health check: one of `command`, `tcp` and `http`. Without any, it is the image's that is done in another manner. What is
 * left out is as the image's HEALTHCHECK has it, or as said here.
 */
export interface HealthOption {
  /** Runs in the container, as `exec()` would run it; 0 is healthy. A string is a line for /bin/sh (`--health-cmd`). */
  readonly command?: readonly string[] | string
  /** Healthy when somebody listens on this port of 127.0.0.1 or ::1 in the container. Needs no program there. */
  readonly tcp?: number
  /** Healthy when a GET of this path from within the container is answered by 200 to 399. Needs no program there. */
  readonly http?: string
  /** Of `http`. @default 80 */
  readonly port?: number
  /** From the end of a check to the beginning of the next; the first is at the start (`--health-interval`). @default '30s' */
  readonly interval?: Duration
  /** A check that takes longer has failed; all that it has started is killed (`--health-timeout`). @default '30s' */
  readonly timeout?: Duration
  /** So many failures in a row are unhealthy (`--health-retries`). @default 3 */
  readonly retries?: number
  /** For how long after a start failures don't count, unless one has succeeded (`--health-start-period`). @default 0 */
  readonly startPeriod?: Duration
  /** The interval within it until one has succeeded. @default '5s', or `interval` where that is less */
  readonly startInterval?: Duration
  /**
   * What is done when it has become unhealthy (`--health-on-failure`): nothing; it is killed, and its restart policy says what
   * follows; it is stopped, and not started again; it is stopped and started again, whatever its restart policy says.
   * @default 'none'
   */
  readonly onFailure?: 'none' | 'kill' | 'stop' | 'restart'
}
