/**
 * The containers of a root, one directory each:
 *
 *   ROOT/ID/state.json    what is known of it, replaced as a whole
 *   ROOT/ID/config.json   its spec, as it was when it was made
 *   ROOT/ID/exec.fifo     while it waits for its start
 *
 * Who changes a container has its directory locked (flock(2)); the kernel ends that with the command, however it ends.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatExactJson, parseExactJson } from '../schema/exact-json.js'
import type { Spec } from '../launch/oci-spec.js'
import { tryLock } from '../sys/file-calls.js'
import { OciError } from './oci-error.js'
import { isContainerId, type ContainerRecord } from './record.js'

/** How long another command may have a container to itself, in milliseconds. */
const PATIENCE = 30_000

export class Store {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  /** @throws OciError for an id that is none */
  directory(id: string): string {
    if (id === '') throw new OciError('container id cannot be empty')
    if (!isContainerId(id)) throw new OciError('invalid container ID format')
    return join(this.root, id)
  }

  /** Make a container's directory, and have it to oneself until `using` has ended. What it throws takes the directory along. */
  async create<T>(id: string, using: (directory: string) => Promise<T>): Promise<T> {
    const directory = this.directory(id)
    mkdirSync(this.root, { recursive: true, mode: 0o700 })
    try {
      mkdirSync(directory, { mode: 0o711 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      throw new OciError('container with given ID already exists')
    }
    return this.#locked(directory, async () => {
      try {
        return await using(directory)
      } catch (error) {
        rmSync(directory, { recursive: true, force: true })
        throw error
      }
    })
  }

  /** Have a container to oneself. @throws OciError when there is none */
  async change<T>(id: string, using: (record: ContainerRecord) => Promise<T>): Promise<T> {
    const directory = this.directory(id)
    if (!existsSync(directory)) throw new OciError('container does not exist')
    return this.#locked(directory, () => using(this.read(id)))
  }

  /** Whether a command that makes the container is at it still. */
  isHeld(id: string): boolean {
    const fd = openDirectory(this.directory(id))
    try {
      return !tryLock(fd, 'shared')
    } finally {
      closeSync(fd)
    }
  }

  /** @throws OciError when there is none */
  read(id: string): ContainerRecord {
    try {
      return JSON.parse(readFileSync(join(this.directory(id), 'state.json'), 'utf8')) as ContainerRecord
    } catch (error) {
      if (error instanceof OciError) throw error
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') throw new OciError('container does not exist')
      throw new OciError(`read the state of container ${id}: ${(error as Error).message}`)
    }
  }

  write(record: ContainerRecord): void {
    replaceFile(join(this.directory(record.id), 'state.json'), JSON.stringify(record), 0o600)
  }

  readSpec(id: string): Spec {
    const text = readFileSync(join(this.directory(id), 'config.json'), 'utf8')
    return parseExactJson(text, new Set(['value', 'valueTwo'])) as Spec
  }

  writeSpec(id: string, spec: Spec): void {
    writeFileSync(join(this.directory(id), 'config.json'), formatExactJson(spec), { mode: 0o600 })
  }

  fifo(id: string): string {
    return join(this.directory(id), 'exec.fifo')
  }

  remove(id: string): void {
    rmSync(this.directory(id), { recursive: true, force: true })
  }

  list(): string[] {
    try {
      return readdirSync(this.root)
        .filter((name) => isContainerId(name) && existsSync(join(this.root, name, 'state.json')))
        .sort()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  async #locked<T>(directory: string, using: () => Promise<T>): Promise<T> {
    const fd = openDirectory(directory)
    try {
      const end = performance.now() + PATIENCE
      while (!tryLock(fd, 'exclusive')) {
        if (performance.now() > end) throw new OciError('another command is at work on the container still')
        await sleep(5)
      }
      return await using()
    } finally {
      closeSync(fd)
    }
  }
}

function openDirectory(directory: string): number {
  try {
    return openSync(directory, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new OciError('container does not exist')
  }
}

/** Whoever reads it finds the old text or the new one. */
export function replaceFile(path: string, text: string, mode: number): void {
  const temporary = `${path}.${String(process.pid)}`
  try {
    writeFileSync(temporary, text, { mode, flag: 'wx' })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
