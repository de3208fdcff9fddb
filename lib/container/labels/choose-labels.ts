/** What a container is called by SELinux, from its options, its pod, and what this machine has. */
import { PodlingError } from '../../errors.js'
import { hasLevels, levelOf, selinuxLabels, type SelinuxLabels, type SelinuxOption } from '../../security/selinux.js'
import type { Spec } from '../../launch/oci-spec.js'
import type { HostFacts } from '../generate-spec.js'
import type { NormalizedOptions } from '../normalized-options.js'
import type { Levels } from './levels.js'

type Asked = Pick<NormalizedOptions, 'selinux' | 'privileged' | 'ipc' | 'pidns'>

/** Gives the labels, with a level that is allotted to whoever holds it: a container that is locked, so that it isn't taken back. */
export type AllotLabels = (levels: Levels, holder: string) => Promise<SelinuxLabels>

/**
 * @param podLabel of the pod's files: its containers have its level
 * @returns undefined where there is no SELinux
 * @throws PodlingError `KERNEL_UNSUPPORTED` for a label that was asked for, where there is none
 */
export function chooseSelinux(
  { selinux: policy }: Pick<HostFacts, 'selinux'>,
  asked: Asked,
  podLabel?: string,
): AllotLabels | undefined {
  const option = asked.selinux ?? defaultOption(asked)
  if (policy === undefined) {
    if (asked.selinux === undefined || asked.selinux.disable === true) return undefined
    throw noSelinux()
  }
  if (option.disable === true || !hasLevels(policy)) {
    return () => Promise.resolve(selinuxLabels(policy, option, undefined))
  }
  const ofPod = option.level === undefined && podLabel !== undefined ? levelOf(podLabel) : undefined
  return async (levels, holder) => selinuxLabels(policy, option, ofPod ?? (await levels.allot(holder, option.level)))
}

/** What shares the host's processes or its IPC has to reach what containers otherwise may not; as Podman has it. */
function defaultOption({ privileged, ipc, pidns }: Asked): SelinuxOption {
  return privileged || ipc === 'host' || pidns === 'host' ? { disable: true } : {}
}

export function withLabels(spec: Spec, { process: label, mount }: SelinuxLabels): Spec {
  const { process, linux } = spec
  return {
    ...spec,
    ...(process === undefined || label === undefined ? {} : { process: { ...process, selinuxLabel: label } }),
    linux: { ...linux, mountLabel: mount },
  }
}

function noSelinux(): PodlingError {
  return new PodlingError(
    'KERNEL_UNSUPPORTED',
    'selinux: this kernel has no SELinux, or it is switched off, so that a label would mean nothing; boot with the parameters ' +
      'security=selinux selinux=1 and a policy that is loaded (selinux(8)), or leave the option out',
  )
}
