/** How the monitor is to keep the log of a container. Pure. */
import type { PlanLog } from '../../launch/plan.js'
import type { ContainerPaths, ContainerRecord } from '../record.js'
import { renderTag } from './tag.js'

/** Where systemd-journald takes entries (systemd-journald.service(8)). */
const JOURNAL_SOCKET = '/run/systemd/journal/socket'

/** @returns undefined where it keeps none */
export function planLog(record: ContainerRecord, paths: ContainerPaths): PlanLog | undefined {
  const { driver, maxSize, maxFiles, onFull } = record.options.log
  const common = { maxFiles, stopsWhenFull: onFull === 'stop', ...(maxSize === undefined ? {} : { maxSize }) }
  switch (driver) {
    case 'none':
    case 'passthrough':
      return undefined
    case 'k8s-file':
      return { ...common, driver, target: logPath(record, paths), fields: '' }
    case 'json-file':
      return { ...common, driver, target: logPath(record, paths), fields: jsonAttributes(record) }
    case 'journald':
      return { ...common, driver, target: JOURNAL_SOCKET, fields: journalFields(record) }
  }
}

/** The file that is written to; those that were full stand beside it. */
export function logPath({ options }: ContainerRecord, paths: ContainerPaths): string {
  return options.log.path ?? paths.log
}

function tagOf(record: ContainerRecord): string | undefined {
  const { tag } = record.options.log
  return tag === undefined ? undefined : renderTag(tag, record)
}

function jsonAttributes(record: ContainerRecord): string {
  const tag = tagOf(record)
  return tag === undefined ? '' : JSON.stringify({ tag })
}

/** What Podman and Docker have in every entry; a line each. None of them can hold a newline: names and tags are checked. */
function journalFields(record: ContainerRecord): string {
  const tag = tagOf(record)
  const fields = {
    CONTAINER_ID: record.id.slice(0, 12),
    CONTAINER_ID_FULL: record.id,
    CONTAINER_NAME: record.name,
    ...(tag === undefined ? {} : { CONTAINER_TAG: tag }),
    ...(record.image === undefined ? {} : { IMAGE_NAME: record.image.name }),
    SYSLOG_IDENTIFIER: tag ?? record.name,
  }
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
