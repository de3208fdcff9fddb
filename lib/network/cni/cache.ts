/** What containers have on CNI networks: kept from before the first plugin's ADD until every plugin's DEL has worked. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CniCapabilityArgs, CniNetwork } from './config.js'
import type { CniResult } from './result.js'

/** The place of one container on one network. DEL must be told what ADD was told, so all of it is kept. */
export interface CniRecord {
  readonly network: CniNetwork
  readonly containerId: string
  /** Its link's name inside. */
  readonly ifname: string
  /** CNI_ARGS. */
  readonly args: string
  readonly capabilities: CniCapabilityArgs
  /** A link of the host that was not there before, and that the plugins make. */
  readonly makesLink?: string
  /** Of the plugins that have done their ADD, until all have. */
  readonly soFar?: CniResult
  /** Absent until all plugins have done their ADD. */
  readonly result?: CniResult
}

export class CniCache {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Durable when it resolves: what plugins keep on disk, such as leases, outlives a crash of the machine as well. */
  async put(record: CniRecord): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const path = this.#path(record.network.name, record.containerId, record.ifname)
    const temporary = `${path}.new`
    const file = await open(temporary, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify(record))
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  }

  async get(network: string, containerId: string, ifname: string): Promise<CniRecord | undefined> {
    return await this.#read(this.#path(network, containerId, ifname))
  }

  /** All records, or those of one container. */
  async list(containerId?: string): Promise<CniRecord[]> {
    const names = await readdir(this.#directory).catch(missingIs<string[]>([]))
    const records = await Promise.all(
      names.filter((name) => name.endsWith('.json')).map((name) => this.#read(join(this.#directory, name))),
    )
    return records.filter(
      (record) => record !== undefined && (containerId === undefined || record.containerId === containerId),
    ) as CniRecord[]
  }

  async remove({ network, containerId, ifname }: CniRecord): Promise<void> {
    await rm(this.#path(network.name, containerId, ifname), { force: true })
  }

  async #read(path: string): Promise<CniRecord | undefined> {
    const text = await readFile(path, 'utf8').catch(missingIs<undefined>(undefined))
    return text === undefined ? undefined : (JSON.parse(text) as CniRecord)
  }

  /** None of the three has a `~` in it. */
  #path(network: string, containerId: string, ifname: string): string {
    return join(this.#directory, `${network}~${containerId}~${ifname}.json`)
  }
}

function missingIs<T>(value: T): (error: unknown) => T {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return value
    throw error
  }
}
