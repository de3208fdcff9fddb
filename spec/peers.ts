/**
 * The programs and files beside Node, gcc and make that the tests need, each with the Debian package that gives it and
 * the reason. `npm test` installs what is missing when it can; a test that needs one says so with {@link needs}.
 */
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Peer {
  /** The Debian package. */
  readonly package: string
  /** How to see that it is there: a program along PATH, or an absolute path. */
  readonly provides: string
  readonly reason: string
  /** Where its tests stand, for the one who can't install it. */
  readonly specs: string
  /** A service that Debian starts when it installs the package, and that the tests have no use for. */
  readonly service?: string
  /**
   * It is unpacked and not installed, since its package changes the machine: `provides` stands below {@link unpackedPeers}.
   */
  readonly unpacked?: boolean
}

/** A directory like the root of a machine that has the packages which are unpacked. */
export const unpackedPeers = fileURLToPath(new URL('../peers', import.meta.url))

export const peers = {
  attr: {
    package: 'attr',
    provides: 'getfattr',
    reason: 'extended attributes of layers are checked with another program than ours',
    specs: 'spec/storage',
  },
  bwrap: {
    package: 'bubblewrap',
    provides: 'bwrap',
    reason: 'a peer of the benchmark',
    specs: 'spec/bench',
  },
  busybox: {
    package: 'busybox-static',
    provides: '/usr/bin/busybox',
    reason: 'the smallest image there is',
    specs: 'spec/container, spec/journeys, spec/security',
  },
  catatonit: {
    package: 'catatonit',
    provides: '/usr/bin/catatonit',
    reason: "podman's --init",
    specs: 'spec/oci',
  },
  'cni-plugins': {
    package: 'containernetworking-plugins',
    provides: '/usr/lib/cni/bridge',
    reason: 'real CNI plugins',
    specs: 'spec/network/cni',
  },
  containerd: {
    package: 'containerd',
    provides: '/usr/bin/containerd-shim-runc-v2',
    reason: 'an engine that runs on podling-oci',
    specs: 'spec/oci',
    unpacked: true,
  },
  'containers-common': {
    package: 'golang-github-containers-common',
    provides: '/usr/share/containers/seccomp.json',
    reason: "the default seccomp profile is compared with Podman's",
    specs: 'spec/security',
  },
  crun: {
    package: 'crun',
    provides: 'crun',
    reason: 'a peer of the benchmark',
    specs: 'spec/bench',
  },
  criu: {
    package: 'criu',
    provides: '/usr/sbin/criu',
    reason: 'checkpoints are its work',
    specs: 'spec/journeys',
  },
  cryptsetup: {
    package: 'cryptsetup-bin',
    provides: '/usr/sbin/cryptsetup',
    reason: 'encrypts volumes that are file systems of their own',
    specs: 'spec/storage/volumes',
  },
  'cross-gcc': {
    package: 'gcc-aarch64-linux-gnu',
    provides: 'aarch64-linux-gnu-gcc',
    reason: 'the package holds a helper for linux-arm64',
    specs: 'spec/journeys/package.spec.ts',
  },
  'cross-libc': {
    package: 'libc6-dev-arm64-cross',
    provides: '/usr/aarch64-linux-gnu/lib/libc.a',
    reason: 'the package holds a helper for linux-arm64',
    specs: 'spec/journeys/package.spec.ts',
  },
  'erofs-utils': {
    package: 'erofs-utils',
    provides: 'mkfs.erofs',
    reason: 'its indexes over tars are compared with ours',
    specs: 'spec/storage',
  },
  'fuse-overlayfs': {
    package: 'fuse-overlayfs',
    provides: 'fuse-overlayfs',
    reason: 'the storage driver of that name',
    specs: 'spec/journeys',
  },
  dig: {
    package: 'bind9-dnsutils',
    provides: 'dig',
    reason: 'asks for names, and reads the answers, by other code than ours',
    specs: 'spec/network',
  },
  'docker-cli': {
    package: 'docker-cli',
    provides: '/usr/bin/docker',
    reason: 'speaks to dockerd',
    specs: 'spec/oci',
    unpacked: true,
  },
  'docker-registry': {
    package: 'docker-registry',
    provides: 'docker-registry',
    reason: 'a real registry on loopback to pull from',
    specs: 'spec/image, spec/journeys',
    service: 'docker-registry.service',
  },
  dockerd: {
    package: 'docker.io',
    provides: '/usr/sbin/dockerd',
    reason: 'an engine that runs on podling-oci',
    specs: 'spec/oci',
    unpacked: true,
  },
  e2fsprogs: {
    package: 'e2fsprogs',
    provides: '/usr/sbin/mkfs.ext4',
    reason: 'makes a file system in a file, for a volume',
    specs: 'spec/journeys',
  },
  git: {
    package: 'git',
    provides: '/usr/bin/git',
    reason: 'a program with helpers around it, for images made of the host',
    specs: 'spec/image/from-host',
  },
  iperf3: {
    package: 'iperf3',
    provides: 'iperf3',
    reason: 'the benchmark measures throughput with it',
    specs: 'spec/bench',
  },
  gocryptfs: {
    package: 'gocryptfs',
    provides: 'gocryptfs',
    reason: 'encrypts volumes',
    specs: 'spec/journeys',
  },
  iproute2: {
    package: 'iproute2',
    provides: 'ip',
    reason: 'shows links, addresses and routes by another program than ours, and makes those of a client',
    specs: 'spec/network',
  },
  iptables: {
    package: 'iptables',
    provides: 'iptables',
    reason: 'the CNI plugins firewall and portmap call it; rules like those of Docker are made with it',
    specs: 'spec/network',
  },
  libseccomp: {
    package: 'libseccomp-dev',
    provides: '/usr/include/seccomp.h',
    reason: 'seccomp filters are compared with those of libseccomp',
    specs: 'spec/security',
  },
  mmdebstrap: {
    package: 'mmdebstrap',
    provides: 'mmdebstrap',
    reason: 'makes a Debian image from scratch',
    specs: 'spec/journeys',
  },
  nftables: {
    package: 'nftables',
    provides: 'nft',
    reason: 'shows firewall rules by another program than ours',
    specs: 'spec/network',
  },
  nginx: {
    package: 'nginx',
    provides: '/usr/sbin/nginx',
    reason: 'a real program in the life of a container',
    specs: 'spec/journeys',
    service: 'nginx.service',
  },
  openssl: {
    package: 'openssl',
    provides: 'openssl',
    reason: 'certificates for a registry that speaks TLS',
    specs: 'spec/image',
  },
  passt: {
    package: 'passt',
    provides: 'pasta',
    reason: "the network 'pasta'",
    specs: 'spec/network',
  },
  podman: {
    package: 'podman',
    provides: 'podman',
    reason: 'defaults are compared with its own, it runs on podling-oci, and it is a peer of the benchmark',
    specs: 'spec/container, spec/journeys, spec/oci, spec/bench',
  },
  postgresql: {
    package: 'postgresql',
    provides: '/usr/bin/pg_createcluster',
    reason: 'a real program in the life of a container, and the database of an example',
    specs: 'spec/journeys',
    service: 'postgresql.service',
  },
  python3: {
    package: 'python3',
    provides: '/usr/bin/python3',
    reason: 'a program with a library of its own, for images made of the host',
    specs: 'spec/image/from-host',
  },
  prometheus: {
    package: 'prometheus',
    provides: 'prometheus',
    reason: 'a real Prometheus scrapes the metrics, and its promtool checks them',
    specs: 'spec/runtime',
    service: 'prometheus.service',
  },
  qemu: {
    package: 'qemu-system-x86',
    provides: 'qemu-system-x86_64',
    reason: 'boots kernels that are other than the one of this machine',
    specs: 'spec/vm',
  },
  'redis-server': {
    package: 'redis-server',
    provides: 'redis-server',
    reason: 'a real program in the life of a container',
    specs: 'spec/journeys',
    service: 'redis-server.service',
  },
  runc: {
    package: 'runc',
    provides: 'runc',
    reason: 'runs for podman here, is asked beside podling-oci, and is a peer of the benchmark',
    specs: 'spec/container, spec/launch, spec/oci, spec/bench',
  },
  skopeo: {
    package: 'skopeo',
    provides: 'skopeo',
    reason: 'writes the archives and pushes the images that are read here',
    specs: 'spec/image, spec/journeys',
  },
  slirp4netns: {
    package: 'slirp4netns',
    provides: 'slirp4netns',
    reason: "the network 'slirp4netns'",
    specs: 'spec/network',
  },
  strace: {
    package: 'strace',
    provides: 'strace',
    reason: 'kills a process in the middle of what it says to the kernel',
    specs: 'spec/journeys',
  },
  systemd: {
    package: 'systemd',
    provides: '/usr/lib/systemd/systemd-journald',
    reason: 'a real journal for logs',
    specs: 'spec/journeys',
  },
  uidmap: {
    package: 'uidmap',
    provides: 'newuidmap',
    reason: "gives an ordinary user's containers their ids",
    specs: 'spec/journeys',
  },
  tini: {
    package: 'tini',
    provides: '/usr/bin/tini-static',
    reason: "docker's --init",
    specs: 'spec/oci',
  },
  zstd: {
    package: 'zstd',
    provides: 'zstd',
    reason: 'compresses layers, for the reader of zstd',
    specs: 'spec/image, spec/storage',
  },
  xfsprogs: {
    package: 'xfsprogs',
    provides: 'mkfs.xfs',
    reason: 'a file system with reflinks and without project quotas',
    specs: 'spec/storage, spec/journeys',
  },
} as const satisfies Record<string, Peer>

export type PeerName = keyof typeof peers

/** Whether a peer is on this machine. */
export function has(name: PeerName): boolean {
  const { provides, unpacked = false }: Peer = peers[name]
  if (unpacked) return readable(join(unpackedPeers, provides))
  if (provides.startsWith('/')) return readable(provides)
  const path = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`
  return path.split(':').some((directory) => readable(join(directory, provides)))
}

export const isRoot = process.getuid?.() === 0

/** Debian or a child of it: where package names are those of {@link peers}. */
export function isDebian(): boolean {
  if (!readable('/etc/os-release') || !readable('/usr/bin/apt-get')) return false
  return /^ID(_LIKE)?=.*\bdebian\b/m.test(readFileSync('/etc/os-release', 'utf8'))
}

/**
 * Options for a test that needs peers, or root: it is skipped, with the reason, where one is missing.
 *
 * @example
 * t.test('pulls what skopeo pushed', needs('root', 'skopeo', 'docker-registry'), async (t) => { ... })
 */
export function needs(...what: readonly (PeerName | 'root')[]): { skip?: string } {
  const missing = what.filter((one) => (one === 'root' ? !isRoot : !has(one)))
  if (missing.length === 0) return {}
  return {
    skip: `needs ${missing.map((one) => (one === 'root' ? one : `Debian's ${peers[one].package}`)).join(', ')}`,
  }
}

/**
 * Options for a test of something that this machine can't have whatever is installed, such as another cgroup layout.
 * Only such tests may be skipped under CI: the runner knows them by the words that the reason begins with.
 *
 * @example
 * t.test('cgroup v2 alone', impossible(mode !== 'v2' && `its cgroups are ${mode}`), async (t) => { ... })
 */
export function impossible(reason: string | false): { skip?: string } {
  return reason === false ? {} : { skip: `${impossibleHere} ${reason}` }
}

export const impossibleHere = 'not on this machine:'

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}
