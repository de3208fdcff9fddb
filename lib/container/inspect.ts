import type { ContainerHealth } from '../launch/health.js'
import type { Spec } from '../launch/oci-spec.js'
import type { ExitStatus } from './exit-status.js'
import type { Lifecycle } from './lifecycle.js'
import type { BoundPort, Endpoint } from '../network/attachment.js'
import { logPath } from './log/plan-log.js'
import { isFile, type LogDriver } from './log/settings.js'
import { securityOf, type ContainerSecurity } from './security-of.js'
import type { StoredOptions } from './record.js'
import { restartText } from './restart-policy.js'
import type { ContainerStatus } from './status.js'
import type { UserIdMaps } from './userns/id-maps.js'
import { idMapsOf } from './userns/in-spec.js'

/** All that is known of a container. */
export interface ContainerInspect {
  readonly id: string
  readonly name: string
  readonly createdAt: Date
  readonly image?: { readonly id: string; readonly name: string }
  readonly labels: Readonly<Record<string, string>>
  /** The id of the pod that it is in. */
  readonly pod?: string
  readonly state: {
    readonly status: ContainerStatus
    /** The pid of its pid 1 in the host's pid namespace. */
    readonly pid?: number
    readonly startedAt?: Date
    /** Lines that its log lacks, since it could not be written while it runs, told anew once a second. */
    readonly lostLogLines?: number
    /** How the last run ended. */
    readonly exit?: ExitStatus
    /** How often its restart policy has started it again. */
    readonly restartCount: number
  }
  /** Its health, or what it was at its end; absent where nobody checks it, or it never ran. */
  readonly health?: ContainerHealth
  /** As it was given: `'on-failure:3'`. */
  readonly restartPolicy: string
  /** While it runs. */
  readonly networks: readonly Endpoint[]
  readonly ports: readonly BoundPort[]
  /** Outlives the host process. */
  readonly detached: boolean
  readonly logDriver: LogDriver
  /** The file that its log is written to; absent where it is no file. Those before it have numbers behind this name. */
  readonly logPath?: string
  /** Its user namespace, where it has one of its own. */
  readonly userNamespace?: UserIdMaps & {
    /** `'private'`: by `uidMap` and `gidMap`; `'pod'`: its pod's. */
    readonly mode: 'auto' | 'keep-id' | 'nomap' | 'private' | 'container' | 'pod'
  }
  /** What confines it. */
  readonly security: ContainerSecurity
  /** The OCI runtime spec that it runs by. A user given by name is resolved in it once the container has started. */
  readonly spec: Spec
}

export function inspect(container: Lifecycle): ContainerInspect {
  const { record, spec, status, monitor, exit, paths, network, restartCount, health } = container
  const { options } = record
  const users = userNamespaceOf(options, spec)
  const started = monitor?.restarting === true ? undefined : monitor?.started
  return {
    id: record.id,
    name: record.name,
    createdAt: new Date(record.createdAt),
    ...(record.image === undefined ? {} : { image: record.image }),
    labels: options.labels,
    ...(record.pod === undefined ? {} : { pod: record.pod.id }),
    state: {
      status,
      ...(started === undefined ? {} : { pid: started.pid, startedAt: new Date(started.startedAt) }),
      ...(monitor === undefined || monitor.lostLines === 0 ? {} : { lostLogLines: monitor.lostLines }),
      ...(exit === undefined ? {} : { exit }),
      restartCount,
    },
    ...(health === undefined ? {} : { health }),
    restartPolicy: restartText(options.restart),
    networks: network.endpoints,
    ports: network.ports,
    detached: options.detach,
    logDriver: options.log.driver,
    ...(isFile(options.log) ? { logPath: logPath(record, paths) } : {}),
    ...(users === undefined ? {} : { userNamespace: users }),
    security: securityOf(record, spec),
    spec: started === undefined ? spec : withResolvedUser(spec, started),
  }
}

export function userNamespaceOf(
  { userns }: Pick<StoredOptions, 'userns'>,
  spec: Spec,
): ContainerInspect['userNamespace'] {
  const maps = idMapsOf(spec)
  return userns === undefined || maps === undefined ? undefined : { mode: userns, ...maps }
}

function withResolvedUser(
  spec: Spec,
  { uid, gid, groups }: { uid: number; gid: number; groups: readonly number[] },
): Spec {
  if (spec.process === undefined) return spec
  return { ...spec, process: { ...spec.process, user: { ...spec.process.user, uid, gid, additionalGids: groups } } }
}
