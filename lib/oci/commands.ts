/** The commands by name. What a command needs is loaded with it: most of them need little, and are to begin at once. */
import type { FlagKinds, ShortNames } from './command-line.js'
import type { Context } from './context.js'

export interface Command {
  readonly usage: string
  readonly flags: FlagKinds
  readonly short?: ShortNames
  /** At least and at most how many words that are no flags. */
  readonly arguments: readonly [number, number]
  /** What stands behind the container's id is another program's. */
  readonly ofCommand?: boolean
  /** In front of its failures. */
  readonly prefix?: string
  /** The exit status of a failure of its own. @default 1 */
  readonly failure?: number
  readonly run: (context: Context) => Promise<number>
}

const make = {
  bundle: 'value',
  config: 'value',
  'console-socket': 'value',
  'pid-file': 'value',
  'no-pivot': 'switch',
  'no-new-keyring': 'switch',
  'preserve-fds': 'value',
} as const

/** Of both commands that CRIU does. */
const criuFlags = {
  'image-path': 'value',
  'work-path': 'value',
  'tcp-established': 'switch',
  'ext-unix-sk': 'switch',
  'shell-job': 'switch',
  'lazy-pages': 'switch',
  'file-locks': 'switch',
  'manage-cgroups-mode': 'value',
  'empty-ns': 'values',
  'auto-dedup': 'switch',
} as const

const id = ({ line }: Context): string => line.rest[0] ?? ''

export const commands: Readonly<Record<string, Command>> = {
  create: {
    usage: 'create [--bundle DIR] [--config FILE] [--pid-file FILE] [--console-socket SOCKET] ID',
    flags: make,
    short: { b: 'bundle', f: 'config' },
    arguments: [1, 1],
    prefix: 'podling-oci create failed',
    run: async (context) => (await import('./create.js')).create(context, id(context)),
  },
  start: {
    usage: 'start ID',
    flags: {},
    arguments: [1, 1],
    run: async (context) => (await import('./start.js')).start(context, id(context)),
  },
  state: {
    usage: 'state ID',
    flags: {},
    arguments: [1, 1],
    run: async (context) => (await import('./state.js')).state(context, id(context)),
  },
  kill: {
    usage: 'kill [--all] ID [SIGNAL]',
    flags: { all: 'switch' },
    short: { a: 'all' },
    arguments: [1, 2],
    run: async (context) => (await import('./kill.js')).kill(context, id(context), context.line.rest[1]),
  },
  delete: {
    usage: 'delete [--force] ID',
    flags: { force: 'switch' },
    short: { f: 'force' },
    arguments: [1, 1],
    run: async (context) => (await import('./delete.js')).deleteContainer(context, id(context)),
  },
  run: {
    usage: 'run [--bundle DIR] [--config FILE] [--detach] [--keep] [--pid-file FILE] [--console-socket SOCKET] ID',
    flags: { ...make, detach: 'switch', keep: 'switch', 'no-subreaper': 'switch' },
    short: { b: 'bundle', f: 'config', d: 'detach' },
    arguments: [1, 1],
    prefix: 'podling-oci run failed',
    run: async (context) => (await import('./run.js')).run(context, id(context)),
  },
  exec: {
    usage: 'exec [--process FILE] [--tty] [--detach] [--pid-file FILE] [--console-socket SOCKET] ID COMMAND...',
    flags: {
      'console-socket': 'value',
      cwd: 'value',
      env: 'values',
      tty: 'switch',
      user: 'value',
      'additional-gids': 'values',
      process: 'value',
      detach: 'switch',
      'pid-file': 'value',
      'process-label': 'value',
      apparmor: 'value',
      'no-new-privs': 'switch',
      cap: 'values',
      'preserve-fds': 'value',
      cgroup: 'values',
      'ignore-paused': 'switch',
    },
    short: { e: 'env', t: 'tty', u: 'user', g: 'additional-gids', p: 'process', d: 'detach', c: 'cap' },
    arguments: [1, Infinity],
    ofCommand: true,
    prefix: 'exec failed',
    failure: 255,
    run: async (context) => (await import('./exec.js')).exec(context, id(context), context.line.rest.slice(1)),
  },
  checkpoint: {
    usage:
      'checkpoint [--image-path DIR] [--work-path DIR] [--leave-running] [--tcp-established] [--file-locks] ... ID',
    flags: {
      ...criuFlags,
      'parent-path': 'value',
      'leave-running': 'switch',
      'status-fd': 'value',
      'page-server': 'value',
      'pre-dump': 'switch',
    },
    arguments: [1, 1],
    run: async (context) => (await import('./checkpoint.js')).checkpoint(context, id(context)),
  },
  restore: {
    usage:
      'restore [--bundle DIR] [--detach] [--image-path DIR] [--work-path DIR] [--pid-file FILE] [--console-socket SOCKET] ... ID',
    flags: {
      ...criuFlags,
      bundle: 'value',
      detach: 'switch',
      'pid-file': 'value',
      'console-socket': 'value',
      'no-subreaper': 'switch',
      'no-pivot': 'switch',
      'lsm-profile': 'value',
      'lsm-mount-context': 'value',
    },
    short: { b: 'bundle', d: 'detach' },
    arguments: [1, 1],
    run: async (context) => (await import('./restore.js')).restore(context, id(context)),
  },
  list: {
    usage: 'list [--format table|json] [--quiet]',
    flags: { format: 'value', quiet: 'switch' },
    short: { f: 'format', q: 'quiet' },
    arguments: [0, 0],
    run: async (context) => (await import('./list.js')).list(context),
  },
  ps: {
    usage: 'ps [--format table|json] ID [OPTION...]',
    flags: { format: 'value' },
    short: { f: 'format' },
    arguments: [1, Infinity],
    ofCommand: true,
    run: async (context) => (await import('./ps.js')).ps(context, id(context), context.line.rest.slice(1)),
  },
  pause: {
    usage: 'pause ID',
    flags: {},
    arguments: [1, 1],
    run: async (context) => (await import('./pause.js')).pause(context, id(context)),
  },
  resume: {
    usage: 'resume ID',
    flags: {},
    arguments: [1, 1],
    run: async (context) => (await import('./pause.js')).resume(context, id(context)),
  },
  update: {
    usage: 'update [--resources FILE|-] [--memory BYTES] [--cpu-quota US] [--pids-limit N] ... ID',
    flags: {
      resources: 'value',
      'blkio-weight': 'value',
      'cpu-period': 'value',
      'cpu-quota': 'value',
      'cpu-burst': 'value',
      'cpu-share': 'value',
      'cpu-rt-period': 'value',
      'cpu-rt-runtime': 'value',
      'cpu-idle': 'value',
      'cpuset-cpus': 'value',
      'cpuset-mems': 'value',
      'kernel-memory': 'value',
      'kernel-memory-tcp': 'value',
      memory: 'value',
      'memory-reservation': 'value',
      'memory-swap': 'value',
      'pids-limit': 'value',
      'l3-cache-schema': 'value',
      'mem-bw-schema': 'value',
    },
    short: { r: 'resources' },
    arguments: [1, 1],
    run: async (context) => (await import('./update.js')).update(context, id(context)),
  },
  events: {
    usage: 'events [--stats] [--interval DURATION] ID',
    flags: { stats: 'switch', interval: 'value' },
    arguments: [1, 1],
    run: async (context) => (await import('./events.js')).events(context, id(context)),
  },
  spec: {
    usage: 'spec [--bundle DIR] [--rootless]',
    flags: { bundle: 'value', rootless: 'switch' },
    short: { b: 'bundle' },
    arguments: [0, 0],
    run: async (context) => (await import('./spec.js')).spec(context),
  },
  features: {
    usage: 'features',
    flags: {},
    arguments: [0, 0],
    run: async () => (await import('./features.js')).features(),
  },
}
