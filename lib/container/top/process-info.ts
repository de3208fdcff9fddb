/** One process, as the words of podman-top(1) and ps(1) tell of it: from its files in procfs. Pure. */
import { capabilitiesOf } from '../../security/capabilities.js'

/** What {@link Container.top} can tell of a process. */
export interface ProcessInfo {
  /** Its pid, its parent's (0: not in the container) and its process group, as the container counts. */
  readonly pid: number
  readonly ppid: number
  readonly pgid: number
  /** Its pid as the host counts. */
  readonly hpid: number
  /** Whose rights it has, by the container's own /etc/passwd and /etc/group; the number where these don't name it. */
  readonly user: string
  readonly group: string
  /** Who started it. */
  readonly ruser: string
  readonly rgroup: string
  /** As the host's /etc/passwd and /etc/group name them. */
  readonly huser: string
  readonly hgroup: string
  /** Processor time in percent of the time since it was started; 100 is one processor. */
  readonly pcpu: number
  /** Milliseconds since it was started. */
  readonly etime: number
  readonly stime: Date
  /** Milliseconds of processor time. */
  readonly time: number
  /** `'pts/0'`; `'?'`: none. */
  readonly tty: string
  /** The program and its arguments, a blank between each. Its own doing, so not to be believed. */
  readonly args: string
  /** The name of the program, at most 15 bytes. */
  readonly comm: string
  /** R, S, D, T, Z ... of proc_pid_stat(5). */
  readonly state: string
  readonly nice: number
  /** Bytes of its address space, and of what of it is in memory. */
  readonly vsz: number
  readonly rss: number
  /** Names of capabilities(7). */
  readonly capeff: readonly string[]
  readonly capprm: readonly string[]
  readonly capinh: readonly string[]
  readonly capbnd: readonly string[]
  readonly capamb: readonly string[]
  /** seccomp(2). */
  readonly seccomp: 'disabled' | 'strict' | 'filter'
  /** Of SELinux or AppArmor; `''`: none. */
  readonly label: string
}

export type ProcessDescriptor = keyof ProcessInfo

/** What is read of a process. */
export interface ProcessFiles {
  readonly stat: string
  readonly status: string
  readonly cmdline: string
  readonly label: string
}

/** Names of users and groups by their numbers. */
export interface Names {
  user(uid: number): string
  group(gid: number): string
}

export interface Surroundings {
  readonly container: Names
  readonly host: Names
  /** Pids of the container by those of the host. */
  readonly pids: ReadonlyMap<number, number>
  /** Milliseconds since the boot, and the time of day. */
  readonly uptime: number
  readonly now: number
}

/** USER_HZ: whatever the kernel's own clock is, it counts so for programs (time(7)). */
const MS_PER_TICK = 10
const PAGE = 4096

/** In the container's pid namespace: the last one, `NSpid:	4242	7`. */
export function innerPid(status: string): number {
  return Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? 0)
}

export function processInfo(hpid: number, files: ProcessFiles, around: Surroundings): ProcessInfo {
  const { status, stat } = files
  // The name stands in parentheses and may hold some itself. What follows begins with field 3 of proc_pid_stat(5).
  const end = stat.lastIndexOf(')')
  const fields = stat.slice(end + 2).split(' ')
  const field = (number: number): number => Number(fields[number - 3])
  const [ruid = 0, uid = 0] = numbers(status, 'Uid')
  const [rgid = 0, gid = 0] = numbers(status, 'Gid')
  const time = (field(14) + field(15)) * MS_PER_TICK
  const etime = Math.max(0, around.uptime - field(22) * MS_PER_TICK)
  const comm = utf8(stat.slice(stat.indexOf('(') + 1, end))
  const args = utf8(files.cmdline.replace(/\0+$/, '').replaceAll('\0', ' '))
  return {
    pid: innerPid(status),
    ppid: around.pids.get(field(4)) ?? 0,
    pgid: Number(/^NSpgid:.*?(\d+)$/m.exec(status)?.[1] ?? 0),
    hpid,
    user: around.container.user(uid),
    group: around.container.group(gid),
    ruser: around.container.user(ruid),
    rgroup: around.container.group(rgid),
    huser: around.host.user(uid),
    hgroup: around.host.group(gid),
    pcpu: etime === 0 ? 0 : (time / etime) * 100,
    etime,
    stime: new Date(around.now - etime),
    time,
    tty: ttyName(field(7)),
    // One that has none, such as a zombie, is shown as ps(1) does.
    args: args === '' ? `[${comm}]` : args,
    comm,
    state: fields[0] ?? '?',
    nice: field(19),
    vsz: field(23),
    rss: field(24) * PAGE,
    capeff: capabilities(status, 'CapEff'),
    capprm: capabilities(status, 'CapPrm'),
    capinh: capabilities(status, 'CapInh'),
    capbnd: capabilities(status, 'CapBnd'),
    capamb: capabilities(status, 'CapAmb'),
    seccomp: (['disabled', 'strict', 'filter'] as const)[numbers(status, 'Seccomp')[0] ?? 0] ?? 'disabled',
    label: files.label.replace(/[\0\n]+$/, ''),
  }
}

function numbers(status: string, name: string): number[] {
  const line = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]
  return line === undefined ? [] : line.split(/\s+/).map(Number)
}

function capabilities(status: string, name: string): string[] {
  const digits = new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1]
  return digits === undefined ? [] : capabilitiesOf(BigInt(`0x${digits}`))
}

/** Of tty_nr: the minor number's bits lie on both sides of the major's (makedev(3)). */
function ttyName(device: number): string {
  const major = (device >> 8) & 0xfff
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00)
  if (device === 0) return '?'
  if (major >= 136 && major <= 143) return `pts/${String(minor + (major - 136) * 256)}`
  return major === 4 ? `tty${String(minor)}` : `${String(major)}:${String(minor)}`
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8')
}
