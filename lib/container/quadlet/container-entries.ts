/** Every option of a container, and what it becomes in the unit file. Pure. */
import { parseSize, type Size } from '../../schema/quantities.js'
import type { GivenOptions } from '../record.js'
import { mappingText } from '../userns/id-maps.js'
import type { IdMappingOption } from '../userns/options.js'
import { usernsText } from '../userns/userns-text.js'
import { omit, type Entry, type Section } from './entry.js'
import { healthEntries } from './health-entries.js'
import { limitEntries } from './limit-entries.js'
import { apparmorEntries, selinuxEntries } from './label-entries.js'
import { mountEntries, volumeOption } from './mount-entries.js'
import { portText } from './network-entries.js'

type Write<K extends keyof GivenOptions> = (
  value: NonNullable<GivenOptions[K]>,
  section: Section,
  all: GivenOptions,
) => Entry | Entry[]

/** Not an option is missing here: what there is nothing to say of says so. */
type Writers = { readonly [K in keyof Required<GivenOptions>]: Write<K> }

const nothing = (): Entry[] => []
const bytes = (size: Size): string => String(parseSize(size) ?? size)
const pairs = (of: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(of).map(([key, value]) => `${key}=${String(value)}`)

const mapText = (one: IdMappingOption): string => (typeof one === 'string' ? one : mappingText(one))

export const writers: Writers = {
  ...limitEntries,
  command: nothing, // behind all flags
  // Podman takes a list for what it is, and a text that looks like one for that.
  entrypoint: (entrypoint, section) =>
    typeof entrypoint === 'string' && !entrypoint.startsWith('[') && entrypoint !== ''
      ? section.line('Entrypoint', 'entrypoint', entrypoint)
      : section.flag(
          'entrypoint',
          entrypoint === '' ? '' : JSON.stringify(typeof entrypoint === 'string' ? [entrypoint] : entrypoint),
        ),
  env: (env, section) =>
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined ? [] : section.words('Environment', 'env', `${name}=${value}`),
    ),
  workdir: (path, section) => section.line('WorkingDir', 'workdir', path),
  user: (user, section) => section.line('User', 'user', String(user)),
  name: nothing, // the record's, which may be another by now
  hostname: (name, section) => section.line('HostName', 'hostname', name),
  labels: (labels, section) => pairs(labels).flatMap((label) => section.words('Label', 'label', label)),
  annotations: (all, section) => pairs(all).flatMap((one) => section.words('Annotation', 'annotation', one)),

  mounts: (mounts, section) => mountEntries(section, mounts),
  volumes: (volumes, section) => volumes.flatMap((one) => volumeOption(section, one)),
  tmpfs: (all, section) => all.map((one) => section.line('Tmpfs', 'tmpfs', one)),
  readOnly: (is, section) => (is ? section.line('ReadOnly', 'read-only', 'true') : []),

  network: nothing, // with the addresses on it
  networkAliases: nothing,
  ip: nothing,
  ip6: nothing,
  mac: nothing,
  ports: (ports, section) => ports.map((port) => section.line('PublishPort', 'publish', portText(port))),
  extraHosts: (lines, section) => lines.map((line) => section.line('AddHost', 'add-host', line)),
  hostGateway: (is) =>
    is ? [] : omit('hostGateway: Podman has it for all containers, host_containers_internal_ip of containers.conf(5)'),
  dns: (servers, section) => servers.map((server) => section.line('DNS', 'dns', server)),
  dnsSearch: (domains, section) => domains.map((domain) => section.line('DNSSearch', 'dns-search', domain)),
  dnsOptions: (options, section) => options.map((option) => section.line('DNSOption', 'dns-option', option)),

  ulimits: (ulimits, section) => {
    if (ulimits === 'host') return section.line('Ulimit', 'ulimit', 'host')
    const all = Array.isArray(ulimits)
      ? (ulimits as readonly string[])
      : Object.entries(ulimits as Exclude<typeof ulimits, 'host' | readonly string[]>).map(
          ([name, limit]) =>
            `${name}=${typeof limit === 'number' ? String(limit) : `${String(limit.soft)}:${String(limit.hard)}`}`,
        )
    return all.map((one) => section.line('Ulimit', 'ulimit', one))
  },
  devices: (devices, section) => devices.flatMap((device) => section.words('AddDevice', 'device', device)),
  deviceCgroupRules: (rules, section) => rules.map((rule) => section.flag('device-cgroup-rule', rule)),
  hooks: () => omit('hooks: Podman takes hooks from directories of files alone, see oci-hooks(5)'),
  oomScoreAdj: (score, section) => section.flag('oom-score-adj', String(score)),
  shmSize: (size, section) => section.line('ShmSize', 'shm-size', bytes(size)),
  sysctls: (sysctls, section) => pairs(sysctls).flatMap((one) => section.words('Sysctl', 'sysctl', one)),

  capAdd: (all, section) => all.flatMap((one) => section.words('AddCapability', 'cap-add', one)),
  capDrop: (all, section) => all.flatMap((one) => section.words('DropCapability', 'cap-drop', one)),
  seccomp: (profile, section) =>
    typeof profile !== 'string'
      ? omit('seccomp: Podman takes a profile from a file alone; write it to one, and set SeccompProfile= to its path')
      : section.line('SeccompProfile', 'security-opt=seccomp', profile),
  noNewPrivileges: (is, section) =>
    is ? section.line('NoNewPrivileges', 'security-opt=no-new-privileges', 'true') : [],
  privileged: (is, section) => (is ? section.flag('privileged') : []),
  mask: (paths, section) => (paths.length === 0 ? [] : section.line('Mask', 'security-opt=mask', paths.join(':'))),
  unmask: (paths, section) => {
    const list = typeof paths === 'string' ? [paths] : paths
    return list.length === 0 ? [] : section.line('Unmask', 'security-opt=unmask', list.join(':'))
  },
  landlock: () => omit('landlock: Podman has nothing like it'),
  selinux: selinuxEntries,
  apparmor: apparmorEntries,
  // Podman's own default lets others join it, which changes nothing for who is in it.
  ipc: (ipc, section) => section.flag('ipc', ipc),
  pidns: (pidns, section) => (pidns === 'host' ? section.flag('pid', 'host') : section.flag('pid', 'private')),
  uts: (uts, section) => section.flag('uts', uts),
  userns: (userns, section) =>
    section.line('UserNS', 'userns', typeof userns === 'string' ? userns : usernsText(userns)),
  uidMap: (map, section) => map.map((one) => section.line('UIDMap', 'uidmap', mapText(one))),
  gidMap: (map, section) => map.map((one) => section.line('GIDMap', 'gidmap', mapText(one))),
  umask: (umask, section) =>
    section.flag('umask', typeof umask === 'number' ? umask.toString(8).padStart(4, '0') : umask.padStart(4, '0')),

  pod: nothing, // the record's
  dependsOn: nothing,
  initContainer: () => omit('initContainer: podman-run(1), which the unit runs, has no --init-ctr'),

  stopSignal: (signal, section) => section.line('StopSignal', 'stop-signal', String(signal)),
  stopTimeout: nothing, // the record's, in the service
  restart: nothing, // of the service
  health: healthEntries,
  init: (is, section) => (is ? section.line('RunInit', 'init', 'true') : []),
  detach: nothing, // a service has no process that it could be bound to
  tty: (tty, section) => [
    ...(tty === false ? [] : [section.flag('tty')]),
    ...(typeof tty === 'object' ? [omit('tty: Podman takes no size of a terminal; who attaches sets it')] : []),
  ],
  stdin: (is, section) => (is ? section.flag('interactive') : []),
  stdinOnce: nothing, // as --interactive has it
  logDriver: nothing, // the record's, since the defaults differ
  logOptions: ({ path, maxSize, maxFiles, tag }, section) => [
    ...(path === undefined ? [] : section.words('LogOpt', 'log-opt', `path=${path}`)),
    ...(maxSize === undefined ? [] : section.words('LogOpt', 'log-opt', `max-size=${bytes(maxSize)}`)),
    ...(tag === undefined ? [] : section.words('LogOpt', 'log-opt', `tag=${tag}`)),
    ...(maxFiles === undefined ? [] : [omit('logOptions.maxFiles: Podman keeps one file')]),
  ],
  logOnFull: (what) => (what === 'stop' ? omit('logOnFull: with Podman it goes on') : []),
  storageOpt: ({ size, inodes }, section) => [
    ...(size === undefined ? [] : [section.flag('storage-opt', `size=${bytes(size)}`)]),
    ...(inodes === undefined ? [] : [section.flag('storage-opt', `inodes=${String(inodes)}`)]),
  ],
  platform: (platform, section) => section.flag('platform', platform),
}

/** What of `given` has something to say, in the order of the writers. */
export function optionEntries(section: Section, given: GivenOptions): Entry[] {
  const write = <K extends keyof GivenOptions>(name: K, value: GivenOptions[K]): Entry | Entry[] =>
    value === undefined ? [] : writers[name](value, section, given)
  return (Object.keys(writers) as (keyof GivenOptions)[]).flatMap((name) => write(name, given[name]))
}
