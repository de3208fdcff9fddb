/**
 * The disk that a guest boots from: Debian's packages, this machine's Node, labels for SELinux. It takes minutes to make, so
 * it is kept in the user's cache directory, by the digest of all that goes into it.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs' // prettier-ignore
import { homedir } from 'node:os'
import { join } from 'node:path'
import { newestKernel, unpackKernel } from './kernel.js'

/** Beside what is essential to Debian. What specs need of them is told by spec/peers.ts; the rest is for the guest itself. */
const packages = [
  ...[
    'apparmor',
    'attr',
    'busybox-static',
    'criu',
    'cryptsetup-bin',
    'e2fsprogs',
    'fuse-overlayfs',
    'gocryptfs',
    'iproute2',
    'nfs-kernel-server',
    'nftables',
    'passt',
  ],
  ...['strace', 'uidmap', 'xfsprogs'],
  ...['gcc', 'libc6-dev', 'libstdc++6', 'make'],
  ...['kmod', 'mount', 'passwd', 'policycoreutils', 'procps', 'selinux-policy-default'],
]

/** Nothing reads these in the guest. */
const left = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*']

const day = 86_400_000

export interface RootDisk {
  /** The kernel to boot. */
  readonly kernel: string
  /** An ext4 file system; who writes to it keeps what is written elsewhere. */
  readonly disk: string
}

/** @param guest the directory of the guest's own programs */
export function rootDisk(guest: string): RootDisk {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'podling-vm')
  const kernel = newestKernel()
  const suite = /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable'
  const recipe = { suite, packages, left, kernel, parts: [join(guest, 'init'), process.execPath].map(digestOf) }
  const home = join(cache, createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16))
  const made = { kernel: join(home, 'vmlinuz'), disk: join(home, 'root.ext4') }
  if (!existsSync(home)) make(home, suite, kernel.name, guest)
  utimesSync(home, new Date(), new Date())
  for (const other of readdirSync(cache).map((name) => join(cache, name))) {
    if (statSync(other).mtimeMs < Date.now() - 7 * day) rmSync(other, { recursive: true, force: true })
  }
  return made
}

function make(home: string, suite: string, kernel: string, guest: string): void {
  console.log(`Making the guest's disk of Debian ${suite}, once: ${home}`)
  const unfinished = `${home}.${String(process.pid)}`
  const root = join(unfinished, 'root')
  mkdirSync(unfinished, { recursive: true })
  try {
    execFileSync('mmdebstrap', ['--quiet', '--mode=root', '--variant=essential', '--format=directory', '--dpkgopt=force-unsafe-io', ...left.map((path) => `--dpkgopt=path-exclude=${path}`), `--include=${packages.join(',')}`, suite, root], { stdio: 'inherit' }) // prettier-ignore
    unpackKernel(kernel, { image: join(unfinished, 'vmlinuz'), root })
    copyFileSync(process.execPath, join(root, 'usr/local/bin/node'))
    rmSync(join(root, 'usr/sbin/init'), { force: true })
    copyFileSync(join(guest, 'init'), join(root, 'usr/sbin/init'))
    for (const program of ['usr/local/bin/node', 'usr/sbin/init']) chmodSync(join(root, program), 0o755)
    writeFileSync(join(root, 'etc/selinux/config'), 'SELINUX=enforcing\nSELINUXTYPE=default\n')
    // A label is an extended attribute as any other: no kernel with SELinux is needed to set it.
    execFileSync('chroot', [root, 'setfiles', '-m', '-F', '/etc/selinux/default/contexts/files/file_contexts', '/'])
    execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', '-d', root, join(unfinished, 'root.ext4'), '4G'])
    rmSync(root, { recursive: true })
    renameSync(unfinished, home)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}
