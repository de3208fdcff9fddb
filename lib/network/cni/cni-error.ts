import { PodlingError, type ErrorCode, type PodlingErrorDetails } from '../../errors.js'

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'

/** What is known of a plugin's failure. */
export interface CniFailure {
  /** The plugin's name, `'bridge'`. */
  readonly plugin: string
  readonly command: CniCommand
  /** The code of its error (CNI specification, "Error"): below 100 those of the specification, else the plugin's own. */
  readonly pluginCode?: number
  /** Its message. */
  readonly pluginMessage?: string
  /** What it says beyond that. */
  readonly pluginDetails?: string
  /** The end of what it wrote to stderr. */
  readonly stderr?: string
}

/**
 * A CNI plugin that failed. Its code is `CNI_PLUGIN_FAILED`, `CNI_PLUGIN_NOT_FOUND`, `CNI_PLUGIN_TIMEOUT`, or
 * `CNI_RESULT_INVALID` when it printed something that is not a result.
 */
export class CniError extends PodlingError implements CniFailure {
  readonly plugin: string
  readonly command: CniCommand
  declare readonly pluginCode?: number
  declare readonly pluginMessage?: string
  declare readonly pluginDetails?: string
  declare readonly stderr?: string

  /** @internal */
  constructor(code: ErrorCode, message: string, failure: CniFailure, details: PodlingErrorDetails = {}) {
    super(code, message, details)
    this.plugin = failure.plugin
    this.command = failure.command
    if (failure.pluginCode !== undefined) this.pluginCode = failure.pluginCode
    if (failure.pluginMessage !== undefined) this.pluginMessage = failure.pluginMessage
    if (failure.pluginDetails !== undefined) this.pluginDetails = failure.pluginDetails
    if (failure.stderr !== undefined) this.stderr = failure.stderr
  }
}
