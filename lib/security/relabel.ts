/** What relabelling for SELinux leaves alone, as Podman's does. Pure. */
import { sharedLabel } from './selinux.js'

/** Directories that the machine itself is made of: called as a container's, its own programs could not use them any more. */
export const keptPaths: readonly string[] = [
  '/',
  '/bin',
  '/boot',
  '/dev',
  '/etc',
  '/etc/passwd',
  '/etc/pki',
  '/etc/shadow',
  '/home',
  '/lib',
  '/lib64',
  '/media',
  '/opt',
  '/proc',
  '/root',
  '/run',
  '/sbin',
  '/srv',
  '/sys',
  '/tmp',
  '/usr',
  '/var',
  '/var/lib',
  '/var/log',
]

/** What a mount's files are to be called: as the container's own, or so that every container may use them. */
export function relabelling(
  to: 'private' | 'shared',
  mountLabel: string,
): { readonly label: string; readonly kept: readonly string[] } {
  return { label: to === 'shared' ? sharedLabel(mountLabel) : mountLabel, kept: keptPaths }
}
