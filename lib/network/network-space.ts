/** A network namespace in which bridges are, as this process reaches it. */
import type { BoundPort } from './attachment.js'

/** A published port: the socket that is bound to it, and where what comes there is to go. */
export interface Forward {
  readonly fd: number
  readonly port: BoundPort
  /** Of the container. */
  readonly address: Buffer
}

/** What a container's launch needs to be in a namespace that is not this process's own. */
export interface SpacePass {
  /** Its path, for the monitor. */
  readonly path: string
  /** Descriptors that the monitor keeps as long as it lives; the caller's from here on. */
  readonly held: readonly number[]
}

export interface NetworkSpace {
  /** Can anything be asked of it? */
  readonly isThere: boolean
  /** What can't be had here, in words; undefined where all can. */
  readonly limits: string | undefined
  /** Where what is in it finds the host: at the gateways of bridges, or at an address that is asked for; undefined: nowhere. */
  readonly host: 'gateways' | (() => Promise<string | undefined>)
  /** Where a responder for names finds whom to ask for the rest. */
  readonly resolvConf: string
  /**
   * Make it, or come to what others have made.
   * @param outward with a way out to other networks
   */
  enter(outward: boolean): Promise<void>
  /** Come to what others have made. @returns false where nobody has */
  find(): Promise<boolean>
  /** socket(2), of this namespace, non-blocking. */
  openSocket(domain: number, type: number, protocol: number, what: string): number
  /** A sysctl by its path below /proc/sys. @returns undefined where there is none */
  readSysctl(path: string): string | undefined
  /** Set one, unless it has this value: where /proc/sys is read-only, that is enough. */
  writeSysctl(path: string, value: string): void
  /**
   * Begin a responder for names (native/dns.c) here, with its arguments.
   * @param report stays the caller's
   * @returns its pid, where it is a child of this process
   */
  beginNames(args: readonly string[], report: number): number | undefined
  /** Run `work` while no other process does so, whichever root it works on. */
  exclusively<T>(work: () => T | Promise<T>): Promise<T>
  /**
   * For a container that is to be here.
   * @param forwards their descriptors are given away, unless nothing is needed
   * @returns undefined where nothing is needed
   */
  pass(forwards: readonly Forward[]): SpacePass | undefined
  /** Does the monitor of this pid keep it, so that it stays for as long as the container runs? */
  isKeptBy(monitor: number): boolean
  close(): void
}
