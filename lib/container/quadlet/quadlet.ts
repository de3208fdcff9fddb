/** Units for systemd that run with Podman what a container or a pod is here (podman-systemd.unit(5)). */
import { PodlingError } from '../../errors.js'
import type { ContainerContext } from '../context.js'
import { volumesOf, type ContainerRecord } from '../record.js'
import { optionEntries } from './container-entries.js'
import { omit, Section, setting, type Entry } from './entry.js'
import { networkEntries, networkNames } from './network-entries.js'
import { networkEntries as networkUnit, volumeEntries } from './parts.js'
import { restartEntries, stopEntries } from './service.js'
import { argumentsText, emptyVariable, unitText } from './unit-text.js'

/** Unit files for systemd, by way of Podman's generator: podman-systemd.unit(5). */
export interface Quadlet {
  /**
   * Texts by the names of their files, `web.container` and those that it needs, `data.volume`, `backend.network`; to be put into
   * /etc/containers/systemd.
   */
  readonly units: Readonly<Record<string, string>>
  /** What Podman or systemd can't do, or do otherwise, one a line. The unit files say it, too. */
  readonly omitted: readonly string[]
}

/** The units of one container, with those that it names. @throws PodlingError `INVALID_STATE` */
export async function containerQuadlet(context: ContainerContext, record: ContainerRecord): Promise<Quadlet> {
  const given = givenOf(record, 'container')
  const named = volumesOf(record).filter(({ anonymous }) => !anonymous)
  const needed = await Promise.all([
    ...named.map(({ name }) => volumeQuadlet(context, name)),
    ...networkNames(given.network).map((name) => networkQuadlet(context, name)),
  ])
  return joined([fileOf(`${record.name}.container`, containerEntries(context, record)), ...needed])
}

/** What was asked for. @throws PodlingError `INVALID_STATE` for records of older versions */
export function givenOf(
  { name, given }: Pick<ContainerRecord, 'name' | 'given'>,
  kind: string,
): NonNullable<ContainerRecord['given']> {
  if (given !== undefined) return given
  throw new PodlingError(
    'INVALID_STATE',
    `write units of ${kind} ${name}: it was made by an older version, which didn't keep its options; make it anew`,
  )
}

function containerEntries(context: ContainerContext, record: ContainerRecord): Entry[] {
  const given = givenOf(record, 'container')
  const section = new Section('Container')
  const { pod, image, options } = record
  const podName = pod === undefined ? undefined : context.records.get(pod.id)?.name
  const { driver } = options.log
  return [
    setting('Unit', 'Description', `Container ${record.name}, as Podling has it`),
    ...dependencies(context, record),
    ...(image === undefined ? [] : [section.line('Image', 'image', image.name)]),
    section.line('ContainerName', 'name', record.name),
    ...(podName === undefined ? [] : [setting('Container', 'Pod', `${podName}.pod`)]),
    ...networkEntries(section, given),
    ...optionEntries(section, given),
    setting('Container', 'LogDriver', driver),
    ...(driver === 'json-file'
      ? [omit("logDriver: json-file is another word for k8s-file to Podman; its lines aren't JSON")]
      : []),
    ...commandEntries(given.command ?? []),
    ...stopEntries(options.stopTimeout),
    ...restartEntries(given.restart),
  ]
}

function commandEntries(command: readonly string[]): Entry[] {
  if (command.length === 0) return []
  return [
    setting('Container', 'Exec', argumentsText(command)),
    ...(command.includes('') ? [setting('Service', 'Environment', `${emptyVariable}=`)] : []),
  ]
}

/** Others of the same pod that are to be started first. */
function dependencies({ names, records }: ContainerContext, { pod }: ContainerRecord): Entry[] {
  return (pod?.dependsOn ?? []).flatMap(({ container, condition }) => {
    const name = records.get(names.get(container) ?? container)?.name ?? container
    return [
      setting('Unit', 'Requires', `${name}.service`),
      setting('Unit', 'After', `${name}.service`),
      ...(condition === 'started'
        ? []
        : [omit(`dependsOn: ${name}: systemd waits for its start, not until it is ${condition}`)]),
    ]
  })
}

export async function networkQuadlet(context: ContainerContext, name: string): Promise<Quadlet> {
  return fileOf(`${name}.network`, networkUnit(await context.networks.get(name)))
}

async function volumeQuadlet({ volumes }: ContainerContext, name: string): Promise<Quadlet> {
  return fileOf(`${name}.volume`, volumeEntries(await volumes.get(name)))
}

export function fileOf(name: string, entries: readonly Entry[]): Quadlet {
  const omitted = entries.flatMap((entry) => ('omitted' in entry ? [entry.omitted] : []))
  const settings = entries.flatMap((entry) => ('setting' in entry ? [entry.setting] : []))
  return {
    units: {
      [name]: unitText(
        omitted.map((line) => `Not as in Podling: ${line}`),
        settings,
      ),
    },
    omitted,
  }
}

export function joined(all: readonly Quadlet[]): Quadlet {
  return {
    units: Object.assign({}, ...all.map(({ units }) => units)) as Quadlet['units'],
    omitted: [...new Set(all.flatMap(({ omitted }) => omitted))],
  }
}
