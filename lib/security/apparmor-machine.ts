/** Whether AppArmor is on here. */
import { readFileSync } from 'node:fs'

/** As aa_is_enabled(2) finds it, but that the module's own word is enough: nobody need have mounted securityfs. */
export function isApparmorOn(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'latin1').startsWith('Y')
  } catch {
    return false
  }
}
