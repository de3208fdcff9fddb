/** The units of a pod and of all that is in it. */
import { optionEntries } from '../container/quadlet/container-entries.js'
import { omit, Section, setting } from '../container/quadlet/entry.js'
import { networkEntries, networkNames } from '../container/quadlet/network-entries.js'
import {
  containerQuadlet,
  fileOf,
  givenOf,
  joined,
  networkQuadlet,
  type Quadlet,
} from '../container/quadlet/quadlet.js'
import type { HolderRecord } from '../container/find-pod.js'
import { membersOf, type PodParts } from './members.js'

/** What a [Pod] section has of the keys of a [Container], in podman 5.4 and later. */
const keys = [
  'AddHost',
  'DNS',
  'DNSOption',
  'DNSSearch',
  'GIDMap',
  'IP',
  'IP6',
  'Network',
  'NetworkAlias',
  'PublishPort',
  'ShmSize',
  'UIDMap',
  'UserNS',
]

/** @throws PodlingError `INVALID_STATE` */
export async function podQuadlet(parts: PodParts, record: HolderRecord): Promise<Quadlet> {
  const given = givenOf(record, 'pod')
  const { share, exitPolicy } = record.holds
  const section = new Section('Pod', keys)
  const { pidsLimit, ...options } = given
  const pod = fileOf(`${record.name}.pod`, [
    setting('Unit', 'Description', `Pod ${record.name}, as Podling has it`),
    setting('Pod', 'PodName', record.name),
    // The generator's own is `stop`; the later flag is stronger.
    section.flag('exit-policy', exitPolicy),
    section.flag('share', share.join(',')),
    ...networkEntries(section, given),
    ...optionEntries(section, options),
    ...(pidsLimit === undefined ? [] : [omit('pidsLimit: a pod of Podman has no limit of processes')]),
  ])
  const containers = membersOf(parts, record.id).map(({ record: member }) => containerQuadlet(parts.context, member))
  const networks = networkNames(given.network).map((name) => networkQuadlet(parts.context, name))
  return joined([pod, ...(await Promise.all([...containers, ...networks]))])
}
