import type { LogSettings } from './log/settings.js'
import type { CapabilityName } from '../security/capabilities.js'
import type { LandlockOption } from '../security/landlock.js'
import type { SeccompProfile } from '../security/seccomp-profile.js'
import type { SelinuxOption } from '../security/selinux.js'
import type { NetworkMode } from '../network/mode.js'
import type { SpecHooks } from '../launch/oci-spec.js'
import type { DeviceRequests } from './devices/parse-devices.js'
import type { HealthRequest } from './health/parse-health.js'
import type { NormalizedLimits } from './limits/parse-limits.js'
import type { QuotaLimits } from '../storage/quotas/quotas.js'
import type { MountRequest } from './mount-request.js'
import type { PodChoice } from './parse-pod.js'
import type { RestartPolicy } from './restart-policy.js'
import type { TerminalSize } from './terminal/size.js'
import type { UserNamespaceChoice } from './userns/choice.js'

/** {@link ContainerOptions} checked and in one form: numbers for sizes, milliseconds for durations, defaults filled in. */
export interface NormalizedOptions extends NormalizedLimits {
  readonly image: string
  /** Empty: as the image says. */
  readonly command: readonly string[]
  /** Undefined: as the image says. `['']`: none. */
  readonly entrypoint: readonly string[] | undefined
  readonly env: Readonly<Record<string, string>>
  readonly workdir: string | undefined
  readonly user: string | undefined
  readonly name: string | undefined
  readonly hostname: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Of `mounts`, `volumes` and `tmpfs` together, parents before what lies below them. */
  readonly mounts: readonly MountRequest[]
  readonly readOnly: boolean
  readonly network: NetworkMode
  /** The address of one may be `host-gateway`. */
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[]
  /** Absent: it is told of. */
  readonly hostGateway?: false
  readonly dns: readonly string[]
  readonly dnsSearch: readonly string[]
  readonly dnsOptions: readonly string[]
  readonly pidsLimit: number | undefined
  readonly devices: DeviceRequests
  readonly hooks?: SpecHooks
  /** All of this process, and `ulimits` on top. */
  readonly hostUlimits?: true
  readonly oomScoreAdj?: number
  /** Bytes. */
  readonly shmSize?: number
  /** `RLIMIT_…` names; {@link unlimited} for no limit. */
  readonly ulimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[]
  readonly sysctls: Readonly<Record<string, string>>
  /** Full names, or `ALL`. */
  readonly capAdd: readonly (CapabilityName | 'ALL')[]
  readonly capDrop: readonly (CapabilityName | 'ALL')[]
  readonly seccomp: SeccompChoice
  readonly noNewPrivileges: boolean
  readonly privileged: boolean
  readonly mask: readonly string[]
  readonly unmask: 'ALL' | readonly string[]
  readonly landlock?: LandlockOption
  readonly selinux?: SelinuxOption
  readonly apparmor?: string
  readonly ipc: 'private' | 'host'
  readonly pidns: 'private' | 'host'
  readonly uts: 'private' | 'host'
  /** Undefined: that of the runtime. */
  readonly userns: UserNamespaceChoice | undefined
  readonly umask: number
  /** Undefined: as the image says, or SIGTERM. */
  readonly stopSignal: number | undefined
  /** Milliseconds. */
  readonly stopTimeout: number
  /** Undefined: never. */
  readonly restart: RestartPolicy | undefined
  /** Undefined: as the image says. */
  readonly health: HealthRequest | undefined
  readonly init: boolean
  readonly detach: boolean
  /** Undefined: none. Zeros: of no size that it knows of. */
  readonly tty: TerminalSize | undefined
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly log: LogSettings
  readonly quota: QuotaLimits | undefined
  readonly platform: string | undefined
  readonly ready: readonly ReadyCondition[]
  readonly pod: PodChoice | undefined
}

/** Where the seccomp profile comes from. A `file` is still to be read, by `loadSeccompProfile`. */
export type SeccompChoice =
  | { readonly kind: 'default' }
  | { readonly kind: 'unconfined' }
  | { readonly kind: 'profile'; readonly profile: SeccompProfile }
  | { readonly kind: 'file'; readonly path: string }

/** What `run()` waits for. `timeout` is milliseconds. */
export type ReadyCondition = { readonly timeout: number } & (
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'http'; readonly path: string; readonly port: number; readonly status: number | undefined }
  | { readonly kind: 'log'; readonly pattern: RegExp }
  | { readonly kind: 'command'; readonly command: readonly string[] }
  | { readonly kind: 'healthy' }
)
