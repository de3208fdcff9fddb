/** A root file system of static busybox, and plans that run something in it. */
import {
  chmodSync,
  copyFileSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Launcher } from '../../lib/launch/launcher.js'
import type { Monitor } from '../../lib/launch/monitor.js'
import type { Operation } from '../../lib/launch/operation.js'
import type { NamespaceType, Plan, PlanLog, PlanCgroup, PlanStdio } from '../../lib/launch/plan.js'
import type { ExitRecord } from '../../lib/launch/protocol.js'
import { close, pipe } from '../../lib/sys/descriptors.js'

const applets = [
  'sh',
  'true',
  'false',
  'cat',
  'echo',
  'ls',
  'id',
  'sleep',
  'env',
  'dd',
  'kill',
  'head',
  'stat',
  'pwd',
  'hostname',
  'mount',
  'touch',
  'yes',
  'readlink',
  'ps',
  'ip',
  'printf',
  'grep',
  'wc',
  'test',
  'mkdir',
  'chmod',
  'tr',
  'od',
  'nproc',
  'ln',
  'seq',
  'usleep',
]

export interface Rootfs {
  /** Where all of it lies: remove() takes it away. */
  readonly directory: string
  readonly root: string
  remove(): void
}

export function makeRootfs(): Rootfs {
  const directory = mkdtempSync(join(tmpdir(), 'podling-launch-'))
  const root = join(directory, 'root')
  for (const name of ['bin', 'etc', 'dev', 'proc', 'sys', 'tmp', 'root', 'home/ann', 'work'])
    mkdirSync(join(root, name), { recursive: true })
  chmodSync(directory, 0o711)
  chmodSync(join(root, 'tmp'), 0o1777)
  copyFileSync('/usr/bin/busybox', join(root, 'bin/busybox'))
  for (const applet of applets) symlinkSync('busybox', join(root, 'bin', applet))
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nann:x:1000:\nwheel:x:10:root,ann\naudio:x:29:ann\n')
  writeFileSync(join(root, 'bin/script'), '#!/bin/missing\n')
  chmodSync(join(root, 'bin/script'), 0o755)
  writeFileSync(join(root, 'bin/garbage'), 'not a program')
  chmodSync(join(root, 'bin/garbage'), 0o755)
  return {
    directory,
    root,
    remove: () => {
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export const path = 'PATH=/bin'
export const noCgroup: PlanCgroup = { directories: [], writes: [], attach: [] }
const nodes = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
] as const

let count = 0

export interface PlanOptions {
  readonly argv: readonly string[]
  readonly env?: readonly string[]
  readonly stdio?: Partial<PlanStdio>
  readonly cgroup?: PlanCgroup
  readonly create?: readonly NamespaceType[]
  readonly join?: Plan['join']
  /** After the root is entered, before exec. */
  readonly before?: readonly Operation[]
  /** Before the root is entered. */
  readonly mounts?: readonly Operation[]
  readonly lifetime?: 'bound' | 'detached'
  /** A path: of a k8s-file that is never full. */
  readonly log?: string | PlanLog
  readonly overlay?: boolean
}

export function planLog(target: string, more: Partial<PlanLog> = {}): PlanLog {
  return { driver: 'k8s-file', target, fields: '', maxFiles: 1, stopsWhenFull: false, ...more }
}

/** What a container usually is: its own namespaces, the default mounts and devices. */
export function makePlan(rootfs: Rootfs, options: PlanOptions): Plan {
  const id = `c${process.pid}-${count++}`
  const upper = join(rootfs.directory, id)
  for (const name of ['upper', 'work', 'merged']) mkdirSync(join(upper, name), { recursive: true })
  const operations: Operation[] = [
    { op: 'propagation', mode: 'private' },
    options.overlay === false
      ? { op: 'root-bind', source: rootfs.root }
      : {
          op: 'root-overlay',
          lower: [rootfs.root],
          upper: join(upper, 'upper'),
          work: join(upper, 'work'),
          options: [],
          at: join(upper, 'merged'),
        },
    {
      op: 'mount',
      fstype: 'proc',
      source: 'proc',
      target: '/proc',
      attributes: { noSuid: true, noDev: true, noExec: true },
      options: [],
    },
    {
      op: 'mount',
      fstype: 'tmpfs',
      source: 'tmpfs',
      target: '/dev',
      attributes: { noSuid: true },
      options: ['mode=755', 'size=65536k'],
    },
    ...nodes.map(([name, major, minor]): Operation => ({
      op: 'mknod',
      path: `/dev/${name}`,
      type: 'c',
      mode: 0o666,
      major,
      minor,
      uid: 0,
      gid: 0,
    })),
    {
      op: 'mount',
      fstype: 'devpts',
      source: 'devpts',
      target: '/dev/pts',
      attributes: { noSuid: true, noExec: true },
      options: ['newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { op: 'symlink', target: '/proc/self/fd', path: '/dev/fd' },
    ...(options.mounts ?? []),
    { op: 'pivot-root' },
    { op: 'mask', path: '/proc/kcore' },
    { op: 'mask', path: '/proc/scsi' },
    { op: 'mask', path: '/proc/acpi' },
    { op: 'read-only', path: '/proc/sys' },
    ...(options.before ?? []),
    { op: 'exec', argv: options.argv, env: options.env ?? [path] },
  ]
  return {
    create: options.create ?? ['mount', 'pid', 'uts', 'ipc', 'network', 'cgroup'],
    join: options.join ?? [],
    cgroup: options.cgroup ?? noCgroup,
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null', ...options.stdio },
    operations,
    monitor: {
      lifetime: options.lifetime ?? 'bound',
      socket: join(upper, 'socket'),
      exitFile: join(upper, 'exit'),
      ...(options.log === undefined
        ? {}
        : { log: typeof options.log === 'string' ? planLog(options.log) : options.log }),
    },
  }
}

/** The plan of an exec. */
export function makeExec(
  argv: readonly string[],
  stdio: Partial<PlanStdio> = {},
  before: readonly Operation[] = [],
): Plan {
  return {
    create: [],
    join: [],
    cgroup: noCgroup,
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null', ...stdio },
    operations: [...before, { op: 'exec', argv, env: [path] }],
  }
}

/** Start a plan with stdout and stderr in one pipe, and take what it says and how it ends. */
export async function run(
  launcher: Launcher,
  plan: Plan,
): Promise<{ output: string; record: ExitRecord; monitor: Monitor }> {
  const out = pipe()
  const error = pipe()
  close(error.read)
  const output = readAll(out.read)
  const passed = [
    plan.stdio.stdout === 'pass' ? [out.write] : [],
    plan.stdio.stderr === 'pass' ? [error.write] : [],
  ].flat()
  if (plan.stdio.stdout !== 'pass') close(out.write)
  if (plan.stdio.stderr !== 'pass') close(error.write)
  const monitor = await launcher.launch(plan, passed)
  const record = await monitor.exited
  return { output: (await output).toString(), record, monitor }
}

export async function readAll(fd: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream('', { fd })) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Run a shell command in an ordinary container. */
export async function shell(
  launcher: Launcher,
  rootfs: Rootfs,
  command: string,
  options: Partial<PlanOptions> = {},
): Promise<{ output: string; record: ExitRecord }> {
  return run(
    launcher,
    makePlan(rootfs, { argv: ['sh', '-c', `exec 2>&1; ${command}`], stdio: { stdout: 'pass' }, ...options }),
  )
}

/** Wait until something holds that the kernel does in its own time. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    if (await holds()) return
    await delay(10)
  }
  throw new Error(`waited in vain until ${what}`)
}

export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
