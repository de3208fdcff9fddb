/** This process's own network namespace: the host's, where root has it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { PodlingError } from '../errors.js'
import { close } from '../sys/descriptors.js'
import { spawnHelper } from '../sys/helper-process.js'
import { systemError } from '../sys/libc.js'
import { bindSocket, openSocket } from '../sys/sockets.js'
import type { NetworkSpace } from './network-space.js'

const AF_UNIX = 1
const SOCK_DGRAM = 2
const lockName = '\0podling-network'
const lockRetry = 1

export class OwnSpace implements NetworkSpace {
  readonly isThere = true
  readonly limits = undefined
  readonly host = 'gateways'
  readonly resolvConf: string
  readonly #helper: string

  /** @param helper the native program */
  constructor(helper: string, resolvConf = '/etc/resolv.conf') {
    this.#helper = helper
    this.resolvConf = resolvConf
  }

  async enter(): Promise<void> {
    // It is where this process is.
  }

  find(): Promise<boolean> {
    return Promise.resolve(true)
  }

  openSocket(domain: number, type: number, protocol: number, what: string): number {
    return openSocket(domain, type, protocol, what)
  }

  readSysctl(path: string): string | undefined {
    try {
      return readFileSync(`/proc/sys/${path}`, 'latin1').trim()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw sysctlError(error, 'read', path)
    }
  }

  writeSysctl(path: string, value: string): void {
    const before = this.readSysctl(path)
    if (before === value || before === undefined) return
    try {
      writeFileSync(`/proc/sys/${path}`, value)
    } catch (error) {
      throw sysctlError(error, `set to ${value}`, path)
    }
  }

  beginNames(args: readonly string[], report: number): number {
    return spawnHelper(this.#helper, ['dns', ...args], report)
  }

  /** The lock is a name of an abstract unix(7) socket: such names belong to a network namespace, and end with their process. */
  async exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    const address = Buffer.alloc(2 + lockName.length)
    address.writeUInt16LE(AF_UNIX)
    address.write(lockName, 2)
    const fd = openSocket(AF_UNIX, SOCK_DGRAM, 0, 'lock the network')
    try {
      while (!tryBind(fd, address)) await sleep(lockRetry)
      return await work()
    } finally {
      close(fd)
    }
  }

  pass(): undefined {
    return undefined
  }

  isKeptBy(): boolean {
    return true
  }

  close(): void {
    // Nothing of it is ours alone.
  }
}

function tryBind(fd: number, address: Buffer): boolean {
  try {
    bindSocket(fd, address, 'lock the network')
    return true
  } catch (error) {
    if (error instanceof PodlingError && error.errno === 'EADDRINUSE') return false
    throw error
  }
}

function sysctlError(error: unknown, verb: string, path: string): PodlingError {
  const { code = 'EIO' } = error as NodeJS.ErrnoException
  return systemError('open', code, `${verb} the sysctl ${path.replaceAll('/', '.')}`, `/proc/sys/${path}`)
}
