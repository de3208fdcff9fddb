/** Who lives in the namespaces of a run directory: launchers, by a file each, and monitors, by the sockets that they listen on. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PodlingError } from '../../errors.js'
import { close } from '../../sys/descriptors.js'
import { openProcess } from '../../sys/pidfd.js'
import { receiveMessage } from '../../sys/sockets.js'
import { connectUnix, listenerPid } from '../../sys/unix-sockets.js'
import { processStart } from '../../sys/process-start.js'

/** A launcher's file says all by its name: its pid, and when it began, as pids are used again. */
const named = /^([1-9]\d*)-(\d+)$/

export class Members {
  readonly #directory: string
  readonly #sockets: () => readonly string[]

  /**
   * @param directory of the launchers' files, made when missing
   * @param sockets those of monitors
   */
  constructor(directory: string, sockets: () => readonly string[]) {
    this.#directory = directory
    this.#sockets = sockets
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }

  /** @returns what takes it out again; one that is not taken out is found to be dead */
  add(pid: number): () => void {
    const path = join(this.#directory, `${String(pid)}-${processStart(pid)}`)
    writeFileSync(path, '', { mode: 0o600 })
    return () => {
      rmSync(path, { force: true })
    }
  }

  /** Descriptors of those that live, to be closed by the caller; a launcher's file that nobody lives for is removed. */
  *living(): Generator<number, void, undefined> {
    for (const name of readdirSync(this.#directory)) {
      const [, pid, start] = named.exec(name) ?? []
      if (pid === undefined || start === undefined) continue
      const pidfd = openLauncher(Number(pid), start)
      if (pidfd === undefined) rmSync(join(this.#directory, name), { force: true })
      else yield pidfd
    }
    for (const socket of this.#sockets()) {
      const pidfd = openListener(socket)
      if (pidfd !== undefined) yield pidfd
    }
  }
}

/** In the order that makes it sure: whoever has the pid after the descriptor was opened began later than that. */
function openLauncher(pid: number, start: string): number | undefined {
  const pidfd = openProcess(pid)
  if (pidfd === undefined || processStart(pid) === start) return pidfd
  close(pidfd)
  return undefined
}

/** The connection stands for as long as the listener lives: it is the process whose descriptor was opened meanwhile. */
function openListener(socket: string): number | undefined {
  let connection: number
  try {
    connection = connectUnix(socket)
  } catch {
    return undefined
  }
  try {
    const pidfd = openProcess(listenerPid(connection))
    if (pidfd === undefined || stands(connection)) return pidfd
    close(pidfd)
    return undefined
  } finally {
    close(connection)
  }
}

function stands(connection: number): boolean {
  try {
    return receiveMessage(connection, Buffer.alloc(1), 'hear a monitor')?.length !== 0
  } catch (error) {
    if (error instanceof PodlingError && error.errno === 'ECONNRESET') return false
    throw error
  }
}
