/** Whether SELinux is on here, and what its policy calls containers. */
import { existsSync, readFileSync } from 'node:fs'
import { parseLxcContexts, parsePolicyName, usualPolicy, type SelinuxPolicy } from './selinux.js'

/** @returns undefined where there is no SELinux, or no policy is loaded */
export function readSelinuxPolicy(): SelinuxPolicy | undefined {
  if (!isSelinuxOn()) return undefined
  const name = parsePolicyName(textOf('/etc/selinux/config') ?? '')
  const contexts = textOf(`/etc/selinux/${name}/contexts/lxc_contexts`)
  return contexts === undefined ? usualPolicy : parseLxcContexts(contexts)
}

/** As selinux_is_enabled(3) finds it: before a policy is loaded all is called `kernel`. */
export function isSelinuxOn(): boolean {
  if (!existsSync('/sys/fs/selinux/enforce')) return false
  const own = textOf('/proc/self/attr/current')?.replace(/\0.*$/s, '').trim()
  return own !== undefined && own !== '' && own !== 'kernel'
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
