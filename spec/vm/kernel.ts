/** Debian's kernel for machines in the cloud, out of its package: it is not installed on this machine. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** The package of the newest kernel that apt knows, such as linux-image-6.12.48+deb13-cloud-amd64, and its version. */
export function newestKernel(): { readonly name: string; readonly version: string } {
  const newest = /^ *Depends: (linux-image-\S+)$/m.exec(apt('depends', 'linux-image-cloud-amd64'))?.[1]
  if (newest === undefined) throw new Error("apt knows no linux-image-cloud-amd64: run 'apt-get update'")
  const version = /^Version: (\S+)$/m.exec(apt('show', '--no-all-versions', newest))?.[1] ?? ''
  return { name: newest, version }
}

/**
 * Put the kernel's modules where the root file system of a guest wants them, and its image into a file.
 * @param name the package
 */
export function unpackKernel(name: string, { image, root }: { readonly image: string; readonly root: string }): void {
  const directory = `${image}.package`
  mkdirSync(directory)
  execFileSync('apt-get', ['-q', 'download', '-o', 'APT::Sandbox::User=root', name], { cwd: directory, stdio: 'pipe' })
  const [file] = readdirSync(directory)
  execFileSync('dpkg', ['-x', file!, '.'], { cwd: directory })
  const boot = readdirSync(join(directory, 'boot')).find((entry) => entry.startsWith('vmlinuz-'))!
  renameSync(join(directory, 'boot', boot), image)
  const [release] = readdirSync(join(directory, 'usr/lib/modules'))
  // Unpacked here, once, which an emulated processor would do at each boot.
  const modules = join(directory, 'usr/lib/modules')
  execFileSync('find', [modules, '-name', '*.ko.xz', '-exec', 'xz', '-d', '{}', '+'])
  execFileSync('cp', ['-a', modules, join(root, 'usr/lib/')])
  execFileSync('chroot', [root, 'depmod', release!])
  rmSync(directory, { recursive: true })
}

function apt(...args: readonly string[]): string {
  return spawnSync('apt-cache', args, { encoding: 'utf8', env: { ...process.env, LANG: 'C.UTF-8' } }).stdout
}
