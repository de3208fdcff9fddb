/** The spec of a new container, with what the host has for it: devices, profiles, what its pod has. */
import { PodlingError } from '../errors.js'
import type { Spec } from '../launch/oci-spec.js'
import { validateSpec } from '../launch/validate-spec.js'
import { loadSeccompProfile } from '../security/seccomp-profile.js'
import type { VolumeClaim } from '../storage/volumes/volume-records.js'
import { cdiEdits } from './cdi/cdi-edits.js'
import { findCdiDevices } from './cdi/find-cdi.js'
import type { ContainerContext, Image } from './context.js'
import { findDevices, hostDevices } from './devices/find-devices.js'
import { generateSpec } from './generate-spec.js'
import { hookFaults } from './hooks/parse-hooks.js'
import type { NormalizedOptions } from './normalized-options.js'
import { cgroupOf, type PodNamespace } from './pod-place.js'
import { containerPaths, type ContainerPaths } from './record.js'
import { restartText } from './restart-policy.js'
import { joinEdits, noEdits, type SpecEdits } from './spec-edits.js'
import { podPlace } from './stored-options.js'
import type { KeptUser } from './userns/choice.js'

export async function specOf(
  context: ContainerContext,
  options: NormalizedOptions,
  image: Image,
  id: string,
  paths: ContainerPaths,
  volumes: readonly VolumeClaim[],
  kept: KeptUser | undefined,
): Promise<Spec> {
  const { seccomp } = options
  const { pod } = options
  const shared = (name: PodNamespace): boolean => pod?.share.includes(name) === true
  const ofPod = pod && containerPaths(context.root, context.runRoot, pod.id, false)
  const network = ofPod !== undefined && shared('net') ? ofPod : paths
  const { hostname } = ofPod !== undefined && shared('uts') ? ofPod : paths
  const spec = generateSpec({
    options,
    image: image.config,
    id,
    rootPath: context.driver.rootPath(id),
    cgroupsPath: `/${context.cgroupParent}/${cgroupOf({ id, ...podPlace(options) })}`,
    files: { resolvConf: network.resolvConf, hosts: network.hosts, hostname },
    ...(seccomp.kind === 'file' ? { seccompProfile: await loadSeccompProfile(seccomp.path) } : {}),
    guardsProjects: options.quota !== undefined || volumes.some(({ name }) => context.volumes.use.hasQuota(name)),
    host:
      options.privileged && options.userns === undefined ? { ...context.host, devices: hostDevices() } : context.host,
    edits: joinEdits([
      editsOf(context, options),
      ...(kept === undefined || options.userns === undefined ? [] : [{ ...noEdits, additionalGids: [kept.gid] }]),
    ]),
  })
  validateSpec(spec)
  // Pure: what this machine can't carry out is told before anything is made.
  context.cgroups.plan(id, spec.linux?.resources ?? {})
  return spec
}

/** @throws PodlingError `DEVICE_NOT_FOUND`, `CDI_INVALID`, `CDI_UNSUPPORTED` */
function editsOf({ cdiSpecDirs }: ContainerContext, options: NormalizedOptions): SpecEdits {
  const { devices, cdi } = options.devices
  const edits = joinEdits([...findCdiDevices(cdi, cdiSpecDirs).map(cdiEdits), { ...noEdits, ...findDevices(devices) }])
  const [fault] = hookFaults({ hooks: edits.hooks, restart: restartText(options.restart), health: options.health })
  if (fault !== undefined)
    throw new PodlingError('INVALID_OPTION', `devices: they bring ${fault.path}, which ${fault.message}`)
  return edits
}
