/** What a spec can ask for that this runtime does not do: it is refused, never passed over. Pure. */
import type { Spec } from '../launch/oci-spec.js'
import { OciError } from './oci-error.js'

/** @throws OciError with all that can't be done */
export function refuseUnsupported(spec: Spec): void {
  const linux = spec.linux ?? {}
  const asked: [boolean, string][] = [
    [!(linux.namespaces ?? []).some(({ type }) => type === 'mount'), 'a container without a mount namespace'],
    [linux.timeOffsets !== undefined && Object.keys(linux.timeOffsets).length > 0, 'linux.timeOffsets'],
    [linux.netDevices !== undefined && Object.keys(linux.netDevices).length > 0, 'linux.netDevices'],
    [linux.intelRdt !== undefined, 'linux.intelRdt'],
    [(linux.personality?.flags ?? []).length > 0, 'linux.personality.flags'],
  ]
  const refused = asked.flatMap(([is, what]) => (is ? [what] : []))
  if (refused.length > 0) throw new OciError(`not supported: ${refused.join(', ')}`)
}
