/** Which AppArmor profile a container has, from its options and what this machine has. */
import { PodlingError } from '../../errors.js'
import { defaultProfileName } from '../../security/apparmor.js'
import type { Spec } from '../../launch/oci-spec.js'
import type { NormalizedOptions } from '../normalized-options.js'

/** What confines it by AppArmor. */
export interface ApparmorState {
  /** The profile's name; `'unconfined'`: none. */
  readonly profile: string
  /** Why there is none, where that wasn't asked for. */
  readonly reason?: string
}

/** What there is of AppArmor. */
export interface Apparmor {
  readonly isOn: () => boolean
  readonly loaded: () => ReadonlySet<string> | undefined
  /** Load the default profile. @returns why that can't be done */
  readonly loadDefault: () => Promise<string | undefined>
}

/**
 * @returns undefined where there is no AppArmor
 * @throws PodlingError for a profile that was asked for: `KERNEL_UNSUPPORTED` where there is no AppArmor,
 * `APPARMOR_PROFILE_NOT_LOADED`
 */
export async function chooseApparmor(
  { isOn, loaded, loadDefault }: Apparmor,
  { apparmor, privileged }: Pick<NormalizedOptions, 'apparmor' | 'privileged'>,
): Promise<ApparmorState | undefined> {
  const asked = apparmor !== undefined && apparmor !== 'unconfined'
  if (!isOn()) {
    if (asked) throw noApparmor(apparmor)
    return undefined
  }
  if (asked) {
    // Where it can't be told, the start will.
    if (loaded()?.has(apparmor) === false) throw notLoaded(apparmor)
    return { profile: apparmor }
  }
  if (apparmor === 'unconfined') return { profile: 'unconfined' }
  if (privileged) return { profile: 'unconfined', reason: 'it is privileged' }
  const obstacle = await loadDefault()
  return obstacle === undefined ? { profile: defaultProfileName } : { profile: 'unconfined', reason: obstacle }
}

export function withProfile(spec: Spec, state: ApparmorState | undefined): Spec {
  const { process } = spec
  if (process === undefined || state === undefined || state.profile === 'unconfined') return spec
  return { ...spec, process: { ...process, apparmorProfile: state.profile } }
}

function noApparmor(profile: string): PodlingError {
  return new PodlingError(
    'KERNEL_UNSUPPORTED',
    `apparmor: this kernel has no AppArmor, or it is switched off, so that the profile ${profile} would mean nothing; boot with ` +
      'the parameters security=apparmor apparmor=1, or leave the option out',
  )
}

function notLoaded(profile: string): PodlingError {
  return new PodlingError(
    'APPARMOR_PROFILE_NOT_LOADED',
    `apparmor: no profile ${profile} is loaded; load it first, by apparmor_parser -r FILE; those that are, aa-status tells`,
  )
}
