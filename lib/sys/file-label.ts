import { setAttribute } from './file-calls.js'

/**
 * What SELinux is to call a file, xattr(7): `security.selinux`. A file system that keeps no labels has one for all of its
 * files, and nothing is done.
 */
export function labelFile(path: string, label: string): void {
  setAttribute(path, 'security.selinux', label)
}
