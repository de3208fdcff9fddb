/** The files of /etc that the host writes for a container: at each start, as the host's own may have changed. */
import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs'
import { hostname as osHostname } from 'node:os'
import type { MountSource } from '../launch/compile/input.js'
import type { NetworkStatus } from '../network/attachment.js'
import type { NetworkMode } from '../network/mode.js'
import { namesDomain } from '../network/names.js'
import { etcHosts, resolvConf } from './etc-files.js'
import { hostGatewayOf } from './host-gateway.js'
import { hostResolvConf, reachableResolvConf, readIfThere } from './host-resolver.js'
import { labelFile } from '../sys/file-label.js'
import type { Lifecycle } from './lifecycle.js'
import { containerPaths, type ContainerPaths } from './record.js'
import { resolverOf, userNetworkOf } from './user-network.js'
import { containerIdOf, hostIdOf, nobodys, type UserIdMaps } from './userns/id-maps.js'
import { idMapsOf } from './userns/in-spec.js'

/** @throws PodlingError `NETWORK_FAILED` when they are to name the host, and there is no way to it */
export async function writeEtcFiles(container: Lifecycle, status: NetworkStatus): Promise<void> {
  const { context, record, paths } = container
  const gateway = await hostGatewayOf(context, record, status)
  const { options, spec } = record
  const files = etcFiles(paths)
  const maps = idMapsOf(spec)
  const given = context.host.confinement !== undefined && maps !== undefined
  // The last start has given them away.
  if (given) for (const file of files) rmSync(file, { force: true })
  const hostname = spec.hostname ?? osHostname()
  const hosts = options.network === 'host' ? readIfThere('/etc/hosts') : undefined
  writeFileSync(
    paths.hosts,
    etcHosts({
      hostname,
      extraHosts: options.extraHosts,
      gateway,
      addresses: status.endpoints.flatMap(({ addresses }) => addresses.map((text) => text.split('/')[0] ?? '')),
      ...(hosts === undefined ? {} : { base: hosts }),
    }),
  )
  writeResolvConf(container, status)
  writeFileSync(paths.hostname, `${hostname}\n`)
  const label = spec.linux?.mountLabel
  if (label !== undefined) for (const path of files) labelFile(path, label)
  if (options.quota !== undefined) for (const path of files) context.quotas.count(record.id, path)
  if (!given) giveToRoot(files, maps)
  // Written on by its group, who is this user still.
  else for (const file of files) chmodSync(file, 0o664)
}

/**
 * Those files of an ordinary user whose container has a user namespace: he can't give them to its root by himself, so they are given
 * as they are bound. Their group stays his. In a pod some are the pod's.
 */
export function etcSources({ context, record, paths }: Lifecycle): MountSource[] {
  const { confinement } = context.host
  const maps = idMapsOf(record.spec)
  if (confinement === undefined || maps === undefined) return []
  const group = containerIdOf(maps.gids, 0) ?? nobodys
  const { pod } = record
  const ofPod = pod === undefined ? [] : [containerPaths(context.root, context.runRoot, pod.id, false)]
  const files = [paths, ...ofPod].flatMap(etcFiles)
  return (record.spec.mounts ?? [])
    .filter(({ source = '' }) => files.includes(source))
    .map(({ destination }) => ({ destination, owner: `0:${String(group)}` }))
}

function etcFiles({ hosts, resolvConf, hostname }: ContainerPaths): string[] {
  return [hosts, resolvConf, hostname]
}

/** Its own root is to write them, as the host's would without a user namespace. */
function giveToRoot(files: readonly string[], maps: UserIdMaps | undefined): void {
  if (maps === undefined) return
  const [uid, gid] = [hostIdOf(maps.uids, 0), hostIdOf(maps.gids, 0)]
  if (uid === undefined || gid === undefined) return
  for (const file of files) chownSync(file, uid, gid)
}

/** Written over, not replaced: a container that runs has this very file. */
export function writeResolvConf(container: Lifecycle, status: NetworkStatus): void {
  const { context, record, paths } = container
  const { dns, dnsSearch, dnsOptions, network } = record.options
  const responders = context.networks.naming.resolvers(status.endpoints)
  const user = userNetworkOf(container)
  // What plugins say goes before what the host says, and behind what was asked for.
  const said = status.endpoints.flatMap((endpoint) => endpoint.dns ?? [])
  const plugins = {
    servers: said.flatMap(({ servers }) => servers),
    search: said.flatMap(({ search }) => search),
    options: said.flatMap(({ options }) => options),
  }
  const base = resolverBase(network, responders.length > 0)
  writeFileSync(
    paths.resolvConf,
    resolvConf({
      // A container's own resolvers are asked by the responder, which knows the names first.
      servers: firstOf(responders, dns, user === undefined ? plugins.servers : [resolverOf(user)]),
      search: firstOf(dnsSearch, plugins.search),
      options: firstOf(dnsOptions, plugins.options),
      base,
      domains: responders.length > 0 ? [namesDomain] : [],
    }),
  )
}

function firstOf(...lists: readonly (readonly string[])[]): readonly string[] {
  return lists.find((list) => list.length > 0) ?? []
}

/** The host's resolvers, as far as they can be reached from where the container is. */
function resolverBase(network: NetworkMode, responder: boolean): string | undefined {
  if (network === 'none' && !responder) return undefined
  return network === 'host' ? hostResolvConf() : reachableResolvConf()
}
