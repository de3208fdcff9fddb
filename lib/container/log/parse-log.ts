/** `logDriver`, `logOptions` and `logOnFull` to {@link LogSettings}. Pure. */
import type { Fault } from '../../schema/faults.js'
import type { ContainerOptions } from '../options.js'
import { parseSize } from '../../schema/quantities.js'
import type { LogDriver, LogDriverOptions, LogSettings } from './settings.js'
import { tagFault } from './tag.js'

/** The drivers that an option means something to. */
const meant: Readonly<Record<keyof LogDriverOptions, readonly LogDriver[]>> = {
  path: ['k8s-file', 'json-file'],
  maxSize: ['k8s-file', 'json-file'],
  maxFiles: ['k8s-file', 'json-file'],
  tag: ['json-file', 'journald'],
}

export function parseLog(options: ContainerOptions, faults: Fault[]): LogSettings {
  const { logDriver: driver = 'k8s-file', logOptions = {}, logOnFull } = options
  for (const name of Object.keys(logOptions) as (keyof LogDriverOptions)[]) {
    if (meant[name].includes(driver)) continue
    faults.push({ path: `logOptions.${name}`, message: `has no effect with logDriver: '${driver}'` })
  }
  if (logOptions.maxFiles !== undefined && logOptions.maxSize === undefined) {
    faults.push({ path: 'logOptions.maxFiles', message: 'has no effect without maxSize' })
  }
  if (logOnFull !== undefined && (driver === 'none' || driver === 'passthrough')) {
    faults.push({ path: 'logOnFull', message: `has no effect with logDriver: '${driver}'` })
  }
  const { path, maxSize, maxFiles = 1, tag } = logOptions
  const wrong = tag === undefined ? undefined : tagFault(tag)
  if (wrong !== undefined) faults.push({ path: 'logOptions.tag', message: wrong })
  return {
    driver,
    path,
    maxSize: maxSize === undefined ? undefined : parseSize(maxSize),
    maxFiles,
    tag,
    onFull: logOnFull ?? 'continue',
  }
}
