/** {@link ContainerOptions} to {@link NormalizedOptions}, or all that is wrong with them at once. Pure. */
import { isIP } from 'node:net'
import { PodlingError } from '../errors.js'
import { faultFinder, formatFaults, show, type Fault, under } from '../schema/faults.js'
import { rlimitNumbers, unlimited } from '../launch/rlimits.js'
import { parseNetworkMode, type DefaultNetwork, type NetworkMode } from '../network/mode.js'
import { capabilityName, isAll, type CapabilityName } from '../security/capabilities.js'
import { seccompProfileFaults } from '../security/seccomp-profile.js'
import { nearestName } from '../schema/nearest-name.js'
import { hostGateway } from './etc-files.js'
import { parseDevices } from './devices/parse-devices.js'
import { hookFaults } from './hooks/parse-hooks.js'
import { parseHealth } from './health/parse-health.js'
import { unmaskFaults } from './kernel-paths.js'
import { labelFaults } from './labels/label-options.js'
import { landlockFaults } from './landlock-schema.js'
import { limitContradictions, normalizeLimits } from './limits/parse-limits.js'
import type { NormalizedOptions, ReadyCondition, SeccompChoice } from './normalized-options.js'
import type { QuotaLimits } from '../storage/quotas/quotas.js'
import type { ContainerOptions, StorageOption } from './options.js'
import { optionKeywords, optionsSchema, parseMode } from './options-schema.js'
import { parseLog } from './log/parse-log.js'
import { isKept, type LogSettings } from './log/settings.js'
import { parseMounts } from './parse-mounts.js'
import { parsePod, type PodFacts } from './parse-pod.js'
import { parseReady } from './parse-ready.js'
import { parseDuration, parseSize } from '../schema/quantities.js'
import { parseRestart } from './restart-policy.js'
import { signalNumber } from './signals.js'
import { checkSysctls } from './sysctls.js'
import { unknownSize } from './terminal/size.js'
import { parseUserNamespace } from './userns/parse-userns.js'

const findFaults = faultFinder(optionsSchema, optionKeywords)

/** As podman-run(1) has them. */
const defaults = { pidsLimit: 2048, stopTimeout: 10_000, umask: 0o022 } as const

/**
 * Check options and bring them into one form.
 * @param defaultNetwork for those that name none
 * @param inPod the pod that `pod` names
 * @throws PodlingError `INVALID_OPTION` with all mistakes, each with its path: `ports[1].host: must be 0..65535, got 70000`
 */
export function parseOptions(
  options: ContainerOptions,
  defaultNetwork: DefaultNetwork = 'bridge',
  inPod?: PodFacts,
): NormalizedOptions {
  if (typeof options !== 'object' || (options as unknown) === null || Array.isArray(options)) {
    throw new PodlingError('INVALID_OPTION', `container options: must be an object, got ${show(options)}`)
  }
  const given = withoutUndefined(options) as Record<string, unknown>
  const faults: Fault[] = findFaults(given)
  // What is misshapen has been told of; the rest is looked at all the same, so that every mistake is told at once.
  const wrong = new Set(faults.map(({ path }) => path.split(/[.[]/)[0] ?? ''))
  const sound = Object.fromEntries(
    Object.entries(given).filter(([name]) => !wrong.has(name)),
  ) as unknown as ContainerOptions
  const mounts = parseMounts({ ...sound, mounts: given['mounts'] } as ContainerOptions, faults)
  const { choice: pod, network: podNetwork } = parsePod(sound, inPod, faults)
  const parts = {
    pod,
    mounts,
    extraHosts: parseExtraHosts(sound.extraHosts, faults),
    ulimits: parseUlimits(sound.ulimits, faults),
    devices: parseDevices(sound, faults),
    seccomp: parseSeccomp(sound.seccomp, faults),
    health: parseHealth(sound.health, faults),
    ready: parseReady(sound.ready, faults),
    network: podNetwork ?? parseNetwork(sound, defaultNetwork, faults),
    log: parseLog(sound, faults),
    userns: parseUserNamespace(sound, faults, inPod),
  }
  const reached = pod?.share.includes('net') ? (inPod?.network ?? 'none') : parts.network
  faults.push(...unreachable(parts.ready, reached), ...unreadable(parts.ready, parts.log))
  faults.push(
    ...contradictions(sound),
    ...gatewayFaults(sound, parts.extraHosts, parts.network),
    ...checkSysctls(sound),
    ...limitContradictions(sound, normalizeLimits(sound)),
    ...hookFaults(sound),
    ...unmaskFaults(sound.unmask),
    ...landlockFaults(sound.landlock),
    ...labelFaults(sound),
  )
  if (faults.length > 0) throw new PodlingError('INVALID_OPTION', formatFaults('container options', unique(faults)))
  return { ...normalize(sound, inPod), ...parts }
}

function normalize(
  options: ContainerOptions,
  inPod: PodFacts | undefined,
): Omit<
  NormalizedOptions,
  | 'mounts'
  | 'extraHosts'
  | 'ulimits'
  | 'devices'
  | 'seccomp'
  | 'health'
  | 'ready'
  | 'network'
  | 'log'
  | 'pod'
  | 'userns'
> {
  const { image, entrypoint, user } = options
  const limits = normalizeLimits(options)
  return {
    image: typeof image === 'string' ? image : image.id,
    command: options.command ?? [],
    entrypoint: typeof entrypoint === 'string' ? [entrypoint] : entrypoint,
    env: (options.env ?? {}) as Readonly<Record<string, string>>,
    workdir: options.workdir,
    user: user === undefined ? undefined : String(user),
    name: options.name,
    hostname: options.hostname,
    labels: options.labels ?? {},
    annotations: options.annotations ?? {},
    readOnly: options.readOnly ?? false,
    ...(options.hostGateway === false ? { hostGateway: false } : {}),
    dns: options.dns ?? [],
    dnsSearch: options.dnsSearch ?? [],
    dnsOptions: options.dnsOptions ?? [],
    ...limits,
    pidsLimit: limits.pidsLimit ?? defaults.pidsLimit,
    ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
    ...(options.ulimits === 'host' ? { hostUlimits: true } : {}),
    ...(options.oomScoreAdj === undefined ? {} : { oomScoreAdj: options.oomScoreAdj }),
    ...(options.shmSize === undefined ? {} : { shmSize: parseSize(options.shmSize) ?? 0 }),
    sysctls: Object.fromEntries(Object.entries(options.sysctls ?? {}).map(([key, value]) => [key, String(value)])),
    capAdd: (options.capAdd ?? []).map(fullName),
    capDrop: (options.capDrop ?? []).map(fullName),
    noNewPrivileges: options.noNewPrivileges ?? false,
    privileged: options.privileged ?? false,
    mask: options.mask ?? [],
    unmask: options.unmask ?? [],
    ...(options.landlock === undefined ? {} : { landlock: options.landlock }),
    ...(options.selinux === undefined ? {} : { selinux: options.selinux }),
    ...(options.apparmor === undefined ? {} : { apparmor: options.apparmor }),
    ipc: options.ipc ?? 'private',
    pidns: options.pidns ?? 'private',
    uts: options.uts ?? 'private',
    umask: (options.umask === undefined ? undefined : parseMode(options.umask)) ?? defaults.umask,
    stopSignal: options.stopSignal === undefined ? undefined : signalNumber(options.stopSignal),
    stopTimeout:
      (options.stopTimeout === undefined ? undefined : parseDuration(options.stopTimeout)) ?? defaults.stopTimeout,
    restart: parseRestart(options.restart),
    init: options.init ?? false,
    detach: options.detach ?? inPod?.detach ?? false,
    tty: options.tty === true ? unknownSize : options.tty || undefined,
    stdin: options.stdin ?? false,
    stdinOnce: options.stdinOnce ?? false,
    quota: parseQuota(options.storageOpt),
    platform: options.platform,
  }
}

function parseQuota({ size, inodes }: StorageOption = {}): QuotaLimits | undefined {
  const bytes = size === undefined ? undefined : parseSize(size)
  if (bytes === undefined && inodes === undefined) return undefined
  return { ...(bytes === undefined ? {} : { size: bytes }), ...(inodes === undefined ? {} : { inodes }) }
}

function fullName(name: string): CapabilityName | 'ALL' {
  return isAll(name) ? 'ALL' : capabilityName(name)
}

/** What `ready` asks by HTTP is asked from this host, which has to reach it; another's answer would mean nothing. */
function unreachable(ready: readonly ReadyCondition[], network: NetworkMode): Fault[] {
  const reaches = network === 'host' || (typeof network === 'object' && network.kind === 'networks')
  if (reaches || !ready.some(({ kind }) => kind === 'http')) return []
  const message = "an http check needs network: 'host' or a network; here use port, log or command"
  return [{ path: 'ready', message }]
}

/** What is kept nowhere can't be looked through. */
function unreadable(ready: readonly ReadyCondition[], log: LogSettings): Fault[] {
  if (isKept(log) || !ready.some(({ kind }) => kind === 'log')) return []
  return [{ path: 'ready', message: `a log check finds nothing with logDriver: '${log.driver}'` }]
}

export function parseExtraHosts(
  entries: readonly string[] | undefined,
  faults: Fault[],
): NormalizedOptions['extraHosts'] {
  return (entries ?? []).flatMap((entry, index) => {
    const colon = entry.indexOf(':')
    const [names, address] = [entry.slice(0, colon), entry.slice(colon + 1).replace(/^\[(.*)\]$/, '$1')]
    if (
      colon > 0 &&
      (isIP(address) !== 0 || address === hostGateway) &&
      names.split(';').every((name) => /^[a-zA-Z0-9_.-]+$/.test(name))
    ) {
      return names.split(';').map((name) => ({ name, address }))
    }
    const message = `must be 'name:address' such as 'db:10.0.0.2', got ${show(entry)}`
    faults.push({ path: `extraHosts[${String(index)}]`, message })
    return []
  })
}

/** The host has a name there, and no way leads to it. */
export function gatewayFaults(
  { hostGateway: wanted }: Pick<ContainerOptions, 'hostGateway'>,
  hosts: NormalizedOptions['extraHosts'],
  network: NetworkMode,
): Fault[] {
  const none = wanted === false ? 'hostGateway: false' : network === 'none' ? "network: 'none'" : undefined
  if (none === undefined || !hosts.some(({ address }) => address === hostGateway)) return []
  return [{ path: 'extraHosts', message: `host-gateway has no meaning with ${none}` }]
}

function parseUlimits(ulimits: ContainerOptions['ulimits'], faults: Fault[]): NormalizedOptions['ulimits'] {
  if (ulimits === 'host') return []
  const entries: readonly [string, Limit][] = isList(ulimits)
    ? parseUlimitTexts(ulimits, faults)
    : Object.entries(ulimits ?? {})
  return entries.flatMap(([name, limit]) => {
    const { soft, hard } = typeof limit === 'object' ? limit : { soft: limit, hard: limit }
    const value = (number: number): number => (number < 0 ? unlimited : number)
    if (value(soft) > value(hard)) {
      faults.push({
        path: `ulimits.${name}`,
        message: `soft must not be above hard, got ${String(soft)} and ${String(hard)}`,
      })
    }
    return [{ type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) }]
  })
}

type Limit = number | { readonly soft: number; readonly hard: number }

/** `Array.isArray` doesn't tell readonly arrays apart. */
function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value)
}

/** `'nofile=1024'`, `'nofile=1024:2048'`. */
function parseUlimitTexts(texts: readonly string[], faults: Fault[]): [string, Limit][] {
  return texts.flatMap((text, index): [string, Limit][] => {
    const match = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text)
    const name = match?.[1] ?? ''
    if (match !== null && Object.hasOwn(rlimitNumbers, `RLIMIT_${name.toUpperCase()}`)) {
      return [[name, { soft: Number(match[2]), hard: Number(match[3] ?? match[2]) }]]
    }
    const near = nearestName(
      name,
      Object.keys(rlimitNumbers).map((key) => key.slice(7).toLowerCase()),
    )
    const hint = match !== null && near !== undefined ? `; did you mean ${near}?` : ''
    faults.push({
      path: `ulimits[${String(index)}]`,
      message: `must be a limit of getrlimit(2) such as 'nofile=1024:2048', got ${show(text)}${hint}`,
    })
    return []
  })
}

function parseSeccomp(seccomp: ContainerOptions['seccomp'], faults: Fault[]): SeccompChoice {
  if (seccomp === undefined) return { kind: 'default' }
  if (seccomp === 'unconfined') return { kind: 'unconfined' }
  if (typeof seccomp === 'string') {
    if (seccomp.startsWith('/')) return { kind: 'file', path: seccomp }
    const hint = nearestName(seccomp, ['unconfined']) === undefined ? '' : `; did you mean 'unconfined'?`
    faults.push({
      path: 'seccomp',
      message: `must be 'unconfined', an absolute path or a profile, got ${show(seccomp)}${hint}`,
    })
    return { kind: 'default' }
  }
  const wrong = seccompProfileFaults(seccomp)
  faults.push(...wrong.map((fault) => under('seccomp', fault)))
  return { kind: 'profile', profile: seccomp }
}

function parseNetwork(options: ContainerOptions, defaultNetwork: DefaultNetwork, faults: Fault[]): NetworkMode {
  const { mode, faults: wrong } = parseNetworkMode(options, defaultNetwork)
  faults.push(...wrong)
  if (mode === 'none' && options.dns?.length)
    faults.push({ path: 'dns', message: `has no effect with network: 'none'` })
  return mode
}

function contradictions(options: ContainerOptions): Fault[] {
  const faults: Fault[] = []
  const both = (path: string, other: string): void => {
    faults.push({ path, message: `has no effect with ${other}; leave one of them out` })
  }
  const add = new Set((options.capAdd ?? []).map(fullName))
  const drop = (options.capDrop ?? []).map(fullName)
  for (const name of new Set(drop)) {
    if (add.has(name)) faults.push({ path: 'capDrop', message: `${name} can't be dropped and added` })
  }
  if (options.privileged && drop.length > 0) both('capDrop', 'privileged: true')
  if (options.ipc === 'host' && options.shmSize !== undefined) both('shmSize', `ipc: 'host'`)
  if (options.uts === 'host' && options.hostname !== undefined) both('hostname', `uts: 'host'`)
  if (options.logDriver === 'passthrough') {
    if (options.tty) both('tty', "logDriver: 'passthrough'")
    if (options.stdin) both('stdin', "logDriver: 'passthrough'")
  }
  if (options.stdinOnce && !options.stdin) {
    faults.push({ path: 'stdinOnce', message: 'has no effect without stdin: true; add it' })
  } else if (options.stdinOnce && options.tty) {
    both('stdinOnce', 'tty')
  }
  return faults
}

/** Plain objects without their undefined members, at every depth; objects of classes, such as images, as they are. */
export function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== undefined)
      .map(([key, part]) => [key, withoutUndefined(part)]),
  )
}

function unique(faults: readonly Fault[]): Fault[] {
  return [...new Map(faults.map((fault) => [`${fault.path}\0${fault.message}`, fault])).values()]
}
