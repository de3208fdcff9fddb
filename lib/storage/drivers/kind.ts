/** What is known of a driver before it is opened. */
import type { HostFacts } from '../../sys/kernel.js'
import type { LayerFormat } from '../layer-format.js'
import type { OpenUnpacker } from '../layer-types.js'
import type { FindProgram } from '../volumes/encrypter.js'
import type { Keepers } from '../volumes/keeper.js'
import type { StorageRights } from '../rights.js'
import type { DriverLayers, DriverName, StorageDriver } from './driver.js'

export interface DriverKind {
  readonly name: DriverName
  /** Of its layers. */
  readonly format: LayerFormat
  /** What speaks for and against it, for `runtime.info()`. */
  readonly merit: string
  /** Why it can't work here, with the remedy, as far as can be seen without trying. */
  obstacle(facts: HostFacts, findProgram: FindProgram): string | undefined
  open(parts: DriverParts): Promise<StorageDriver>
}

export interface DriverParts {
  /** The driver's own, made when missing. */
  readonly directory: string
  readonly layers: DriverLayers
  readonly openUnpacker: OpenUnpacker
  /** For roots that a program of the host serves. */
  readonly keepers: Keepers
  readonly findProgram: FindProgram
  readonly rights: StorageRights
}
