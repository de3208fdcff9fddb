/** The messages of CRIU's RPC that Podling speaks, by its images/rpc.proto (https://criu.org/RPC). Pure. */
import type { Field, FieldKind, MessageSchema } from '../../schema/protobuf.js'

const field = (number: number, kind: FieldKind): Field => ({ number, kind, presence: true })
const list = (number: number, kind: FieldKind): Field => ({ number, kind, repeated: true })

/** `criu_req_type`. */
export const requestTypes = { dump: 1, restore: 2, 'pre-dump': 4, notify: 6, 'feature-check': 9 } as const

/** `criu_cg_mode`. */
export const cgroupModes = { ignore: 0, soft: 3, full: 4, strict: 5 } as const

/** Whoever makes the container places it in its cgroups, not CRIU. */
export const IGNORE_CGROUPS = cgroupModes.ignore

/** `criu_network_lock_method`: how connections are kept still while they are dumped. */
export const networkLocks = { nftables: 2, skip: 3 } as const

/** `criu_opts`. */
const options: MessageSchema = {
  imagesDirFd: field(1, 'int64'),
  pid: field(2, 'int64'),
  leaveRunning: field(3, 'bool'),
  extUnixSk: field(4, 'bool'),
  tcpEstablished: field(5, 'bool'),
  evasiveDevices: field(6, 'bool'),
  shellJob: field(7, 'bool'),
  fileLocks: field(8, 'bool'),
  logLevel: field(9, 'int64'),
  logFile: field(10, 'string'),
  pageServer: field(11, { address: field(1, 'string'), port: field(2, 'int64') }),
  notifyScripts: field(12, 'bool'),
  root: field(13, 'string'),
  parentImages: field(14, 'string'),
  trackMemory: field(15, 'bool'),
  autoDedup: field(16, 'bool'),
  workDirFd: field(17, 'int64'),
  linkRemap: field(18, 'bool'),
  externalMounts: list(23, { key: field(1, 'string'), value: field(2, 'string') }),
  manageCgroups: field(24, 'bool'),
  rstSibling: field(26, 'bool'),
  inheritFd: list(27, { key: field(1, 'string'), fd: field(2, 'int64') }),
  manageCgroupsMode: field(34, 'enum'),
  external: list(37, 'string'),
  emptyNamespaces: field(38, 'int64'),
  freezeCgroup: field(44, 'string'),
  lazyPages: field(48, 'bool'),
  statusFd: field(49, 'int64'),
  orphanPtsMaster: field(50, 'bool'),
  configFile: field(51, 'string'),
  lsmProfile: field(53, 'string'),
  lsmMountContext: field(63, 'string'),
  networkLock: field(64, 'enum'),
}

/** `criu_req`. */
export const request: MessageSchema = {
  type: field(1, 'enum'),
  opts: field(2, options),
  notifySuccess: field(3, 'bool'),
  features: field(5, { memoryTracking: field(1, 'bool'), lazyPages: field(2, 'bool') }),
}

/** `criu_resp`. */
export const response: MessageSchema = {
  type: field(1, 'enum'),
  success: field(2, 'bool'),
  restore: field(4, { pid: field(1, 'int64') }),
  notify: field(5, { script: field(1, 'string'), pid: field(2, 'int64') }),
  features: field(6, { memoryTracking: field(1, 'bool'), lazyPages: field(2, 'bool') }),
  errno: field(7, 'int64'),
  message: field(9, 'string'),
}

/** What {@link request} takes as `opts`. */
export interface CriuOptions {
  readonly imagesDirFd: number
  readonly pid?: number
  readonly leaveRunning?: boolean
  readonly extUnixSk?: boolean
  readonly tcpEstablished?: boolean
  readonly evasiveDevices?: boolean
  readonly shellJob?: boolean
  readonly fileLocks?: boolean
  readonly logLevel?: number
  readonly logFile?: string
  readonly pageServer?: { readonly address: string; readonly port: number }
  readonly notifyScripts?: boolean
  readonly root?: string
  readonly parentImages?: string
  readonly trackMemory?: boolean
  readonly autoDedup?: boolean
  readonly workDirFd?: number
  readonly linkRemap?: boolean
  readonly externalMounts?: readonly { readonly key: string; readonly value: string }[]
  readonly manageCgroups?: boolean
  readonly rstSibling?: boolean
  readonly inheritFd?: readonly { readonly key: string; readonly fd: number }[]
  readonly manageCgroupsMode?: number
  readonly external?: readonly string[]
  /** CLONE_NEW* of sched.h. */
  readonly emptyNamespaces?: number
  readonly freezeCgroup?: string
  readonly lazyPages?: boolean
  readonly statusFd?: number
  readonly orphanPtsMaster?: boolean
  readonly configFile?: string
  readonly lsmProfile?: string
  readonly lsmMountContext?: string
  readonly networkLock?: number
}

/** What the kernel and CRIU can do, as far as it is asked. */
export interface CriuFeatures {
  readonly memoryTracking?: boolean
  readonly lazyPages?: boolean
}

/** What {@link response} gives. */
export interface CriuResponse {
  readonly type?: number
  readonly success?: boolean
  readonly restore?: { readonly pid?: number }
  readonly notify?: { readonly script?: string; readonly pid?: number }
  readonly features?: CriuFeatures
  readonly errno?: number
  readonly message?: string
}
