/** Labels and profiles that a spec asks for, where no security module is on that would keep them. */
import type { Spec, SpecProcess } from '../launch/oci-spec.js'
import { isApparmorOn } from '../security/apparmor-machine.js'
import { isSelinuxOn } from '../security/selinux-machine.js'
import { OciError } from './oci-error.js'

/** @throws OciError in the words of runc */
export function requireLabels({ process, linux }: Pick<Spec, 'process' | 'linux'>): void {
  if ((linux?.mountLabel ?? '') !== '' && !isSelinuxOn()) throw noSelinux()
  if (process !== undefined) requireLabelsOf(process)
}

/** @throws OciError in the words of runc */
export function requireLabelsOf({ selinuxLabel = '', apparmorProfile = '' }: SpecProcess): void {
  if (selinuxLabel !== '' && !isSelinuxOn()) throw noSelinux()
  if (apparmorProfile === '' || isApparmorOn()) return
  throw new OciError(
    `unable to apply apparmor profile: this kernel has no AppArmor for the profile ${apparmorProfile}; ` +
      'boot with security=apparmor apparmor=1, or leave process.apparmorProfile out',
  )
}

function noSelinux(): OciError {
  return new OciError(
    'selinux label is specified in config, but selinux is disabled or not supported; boot with security=selinux selinux=1 and ' +
      'a policy that is loaded, or leave process.selinuxLabel and linux.mountLabel out',
  )
}
