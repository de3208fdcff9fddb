import type { Size } from '../../schema/quantities.js'

/** Where the output of a container goes (`--log-driver`). */
export type LogDriver = 'k8s-file' | 'json-file' | 'journald' | 'passthrough' | 'none'

export const logDrivers: readonly LogDriver[] = ['k8s-file', 'json-file', 'journald', 'passthrough', 'none']

/** `--log-opt` of podman-run(1). */
export interface LogDriverOptions {
  /**
   * Absolute path of the log file, in a directory that exists; of `'k8s-file'` and `'json-file'`. It is appended to, and
   * stays when the container is removed.
   * @default a file of Podling's own, see {@link ContainerInspect.logPath}
   */
  readonly path?: string
  /**
   * A file that has reached this size, 64k or more, gets a number behind its name, and a new one begins; of `'k8s-file'`
   * and `'json-file'`. What goes first is files, not lines: the first line that is kept may lack its begin. A file may be larger by
   * what was read at once, 64k of output and the times of its lines. @default never
   */
  readonly maxSize?: Size
  /**
   * How many files are kept, 1 to 1000, with the one that is written to. What somebody is reading, and what comes after it,
   * stays for up to 16 files more. @default 1
   */
  readonly maxFiles?: number
  /**
   * What entries are marked with, of `'journald'` (CONTAINER_TAG and SYSLOG_IDENTIFIER) and `'json-file'` (`attrs.tag`):
   * a text with `{{.Name}}`, `{{.ID}}` (12 digits), `{{.FullID}}`, `{{.ImageName}}`, `{{.ImageID}}` (12 digits) or
   * `{{.ImageFullID}}` in it. @default none; SYSLOG_IDENTIFIER is then the name
   */
  readonly tag?: string
}

/** What was decided about the log. */
export interface LogSettings {
  readonly driver: LogDriver
  readonly path: string | undefined
  /** Bytes. */
  readonly maxSize: number | undefined
  readonly maxFiles: number
  readonly tag: string | undefined
  readonly onFull: 'continue' | 'stop'
}

/** Can it be read again? What went elsewhere, or nowhere, can't. */
export function isKept({ driver }: LogSettings): boolean {
  return driver !== 'none' && driver !== 'passthrough'
}

/** Is it kept in files that Podling itself writes? */
export function isFile({ driver }: LogSettings): boolean {
  return driver === 'k8s-file' || driver === 'json-file'
}
