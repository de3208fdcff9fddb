/**
 * Our spec beside the config.json that `podman run` of the same words makes. What differs on purpose is listed in
 * `comparable`, each with its reason; everything else must be equal.
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { generateSpec } from '../../lib/container/generate-spec.js'
import { readHostFacts } from '../../lib/container/host-facts.js'
import type { ContainerOptions } from '../../lib/container/options.js'
import { parseOptions } from '../../lib/container/parse-options.js'
import type { Spec, SpecMount } from '../../lib/launch/oci-spec.js'
import { parseSpec } from '../../lib/launch/validate-spec.js'
import { needs } from '../peers.js'

const cases: Record<string, [flags: string[], options: Partial<ContainerOptions>, command?: string[]]> = {
  'nothing said': [[], {}],
  "the host's network": [['--network=host'], { network: 'host' }],
  'a user without capabilities': [['--user=1000:1000'], { user: '1000:1000' }],
  'a user with capabilities': [
    ['--user=1000:5', '--cap-add=net_admin', '--cap-drop=kill'],
    { user: '1000:5', capAdd: ['net_admin'], capDrop: ['kill'] },
  ],
  'all capabilities but one': [['--cap-add=all', '--cap-drop=chown'], { capAdd: ['all'], capDrop: ['chown'] }],
  'one capability': [['--cap-drop=all', '--cap-add=chown'], { capDrop: ['all'], capAdd: ['chown'] }],
  limits: [
    [
      ...['--memory=64m', '--cpus=0.5', '--cpuset-cpus=0', '--pids-limit=50', '--ulimit=nofile=100:200'],
      ...['--ulimit=core=-1', '--sysctl=net.ipv4.ip_forward=1', '--umask=0077'],
    ],
    {
      ...{ memory: '64m', cpus: 0.5, cpuset: '0', pidsLimit: 50, ulimits: ['nofile=100:200', 'core=-1'] },
      ...{ sysctls: { 'net.ipv4.ip_forward': 1 }, umask: '0077' },
    },
  ],
  mounts: [
    [
      ...[
        '-v',
        '/tmp:/x',
        '-v',
        '/tmp:/y:ro',
        '-v',
        '/tmp:/z:rslave,nodev,exec',
        '--tmpfs=/t',
        '--tmpfs=/t2:size=10m,mode=700',
      ],
      ...[
        '--mount=type=bind,src=/tmp,dst=/w,ro,bind-propagation=rshared',
        '--mount=type=tmpfs,dst=/t3,tmpfs-size=5242880,tmpfs-mode=1770',
      ],
      ...['--tmpfs=/dev/shm:size=1m'],
    ],
    {
      volumes: ['/tmp:/x', '/tmp:/y:ro', '/tmp:/z:rslave,nodev,exec'],
      tmpfs: ['/t', '/t2:size=10m,mode=700', '/dev/shm:size=1m'],
      mounts: [
        { type: 'bind', source: '/tmp', target: '/w', readOnly: true, propagation: 'shared' },
        { type: 'tmpfs', target: '/t3', size: 5242880, mode: '1770' },
      ],
    },
  ],
  "the host's namespaces": [['--pid=host', '--ipc=host', '--uts=host'], { pidns: 'host', ipc: 'host', uts: 'host' }],
  'a read-only root': [['--read-only'], { readOnly: true }],
  unconfined: [
    ['--security-opt=seccomp=unconfined', '--security-opt=no-new-privileges'],
    { seccomp: 'unconfined', noNewPrivileges: true },
  ],
  privileged: [['--privileged'], { privileged: true }],
  words: [
    [
      '--entrypoint=/bin/sh',
      '--env=A=1',
      '--env=HOME=/x',
      '--env=HOSTNAME=h',
      '--hostname=foo',
      '--workdir=/bin',
      '--annotation=a=b',
    ],
    {
      entrypoint: '/bin/sh',
      env: { A: '1', HOME: '/x', HOSTNAME: 'h' },
      hostname: 'foo',
      workdir: '/bin',
      annotations: { a: 'b' },
    },
    ['-c', 'sleep 1'],
  ],
}

const image = { env: ['FOO=bar'], cmd: ['/bin/sh', '-c', 'sleep 9'], workingDir: '/srv' }

t.test('podman', needs('root', 'podman', 'runc', 'busybox'), (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'podling-podman-'))
  const podman = (...words: string[]): string => {
    const store = ['--root', join(directory, 'root'), '--runroot', join(directory, 'run'), '--runtime', 'runc']
    return execFileSync('podman', [...store, '--storage-driver', 'vfs', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    }).toString()
  }
  t.teardown(() => {
    podman('rm', '--all', '--force', '--time', '0')
    rmSync(directory, { recursive: true, force: true })
  })
  mkdirSync(join(directory, 'image/bin'), { recursive: true })
  copyFileSync('/usr/bin/busybox', join(directory, 'image/bin/sh'))
  const archive = join(directory, 'image.tar')
  execFileSync('tar', ['-C', join(directory, 'image'), '-cf', archive, '.'])
  podman(
    'import',
    '--change=ENV FOO=bar',
    '--change=CMD ["/bin/sh","-c","sleep 9"]',
    '--change=WORKDIR /srv',
    archive,
    'app:1',
  )

  for (const [title, [flags, options, command = []]] of Object.entries(cases)) {
    const network = flags.some((flag) => flag.startsWith('--network')) ? [] : ['--network=none']
    const id = podman('create', ...network, ...flags, 'localhost/app:1', ...command).trim()
    podman('init', id)
    const path = podman('inspect', id, '--format', '{{.OCIConfigPath}}').trim()
    const theirs = parseSpec(readFileSync(path, 'utf8'))
    podman('rm', '--force', '--time', '0', id)
    const ours = generateSpec({
      options: parseOptions({ image: 'app', command, ...options }),
      image,
      id,
      rootPath: '/',
      cgroupsPath: '/',
      files: {
        hosts: '/hosts',
        hostname: '/hostname',
        ...(options.network === 'host' ? { resolvConf: '/resolv.conf' } : {}),
      },
      host: { ...readHostFacts(), hostname: hostname() },
    })
    t.same(comparable(ours), comparable(theirs), title)
  }
  t.end()
})

/** A spec without what differs on purpose, and with what has no order in one. */
function comparable(spec: Spec) {
  const { process, linux } = spec
  return {
    process: {
      args: process?.args,
      cwd: process?.cwd,
      noNewPrivileges: process?.noNewPrivileges ?? false,
      terminal: process?.terminal ?? false,
      rlimits: sorted(process?.rlimits ?? []),
      // Empty sets are left out by Podman, and written by us.
      capabilities: Object.fromEntries(
        Object.entries(process?.capabilities ?? {}).flatMap(([name, set]) =>
          (set as readonly string[]).length > 0 ? [[name, sorted(set as readonly string[])]] : [],
        ),
      ),
      // `container` names the runtime. HOME is looked up by the start, in the container's own /etc/passwd.
      env: sorted((process?.env ?? []).filter((variable) => !/^(container|HOME)=/.test(variable))),
      // Supplementary groups are looked up by the start, which adds the primary one as Podman does.
      user: { uid: process?.user.uid, gid: process?.user.gid, umask: process?.user.umask },
    },
    readonly: spec.root?.readonly ?? false,
    hostname: spec.hostname,
    mounts: sorted((spec.mounts ?? []).flatMap(comparableMount)),
    annotations: Object.fromEntries(Object.entries(spec.annotations ?? {}).filter(([key]) => key === 'a')),
    linux: {
      // A cgroup namespace of its own always; Podman shares the host's on cgroup v1.
      namespaces: sorted((linux?.namespaces ?? []).map(({ type }) => type).filter((type) => type !== 'cgroup')),
      resources: linux?.resources,
      sysctl: linux?.sysctl ?? {},
      // Podman lists one path twice.
      maskedPaths: sorted([...new Set(linux?.maskedPaths ?? [])]),
      readonlyPaths: sorted(linux?.readonlyPaths ?? []),
      // The effect of both is compared in spec/security.
      seccomp: linux?.seccomp === undefined ? undefined : [linux.seccomp.defaultAction, linux.seccomp.defaultErrnoRet],
    },
  }
}

function comparableMount({ destination, type, source, options = [] }: SpecMount): object[] {
  // A file for other programs of Podman's.
  if (destination === '/run/.containerenv') return []
  // Ours is a tmpfs inside the container's own mounts; Podman's one of the host's, which it binds. The same flags.
  if (destination === '/dev/shm' && (type === 'bind' || source === 'shm') && source !== '/dev/shm') {
    return [{ destination, options: sorted(options.filter((word) => /^no/.test(word))) }]
  }
  const isFile = destination.startsWith('/etc/')
  const words = options
    // Nothing that a mount of the kernel's could pass on; and the way a bind is asked for.
    .filter((word) => word !== 'rprivate')
    // Podman makes its three files nosuid, noexec, nodev with --read-only; they are not executable anyway.
    .filter((word) => !(isFile && /^no(suid|exec|dev)$/.test(word)))
    .map((word) => (word === 'size=5242880' ? 'size=5m' : word))
  return [{ destination, type, source: isFile ? undefined : source, options: sorted([...new Set(words)]) }]
}

function sorted<T>(values: readonly T[]): T[] {
  const key = (value: T): string =>
    JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? Number(part) : part))
  return [...values].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}
