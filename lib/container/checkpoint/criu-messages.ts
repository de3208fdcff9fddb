/** The messages of CRIU's RPC that Podling speaks, by its images/rpc.proto (https://criu.org/RPC). Pure. */
import type { Field, FieldKind, MessageSchema } from '../../schema/protobuf.js'

const field = (number: number, kind: FieldKind): Field => ({ number, kind, presence: true })
const list = (number: number, kind: FieldKind): Field => ({ number, kind, repeated: true })

/** `criu_req_type`. */
export const requestTypes = { dump: 1, restore: 2, notify: 6 } as const

/** `criu_cg_mode`: the monitor places the container in its cgroups, not CRIU. */
export const IGNORE_CGROUPS = 0

/** `criu_network_lock_method`: how connections are kept still while they are dumped. */
export const networkLocks = { nftables: 2, skip: 3 } as const

/** `criu_opts`. */
const options: MessageSchema = {
  imagesDirFd: field(1, 'int64'),
  pid: field(2, 'int64'),
  leaveRunning: field(3, 'bool'),
  extUnixSk: field(4, 'bool'),
  tcpEstablished: field(5, 'bool'),
  fileLocks: field(8, 'bool'),
  logLevel: field(9, 'int64'),
  logFile: field(10, 'string'),
  notifyScripts: field(12, 'bool'),
  root: field(13, 'string'),
  workDirFd: field(17, 'int64'),
  linkRemap: field(18, 'bool'),
  manageCgroups: field(24, 'bool'),
  rstSibling: field(26, 'bool'),
  inheritFd: list(27, { key: field(1, 'string'), fd: field(2, 'int64') }),
  manageCgroupsMode: field(34, 'enum'),
  external: list(37, 'string'),
  freezeCgroup: field(44, 'string'),
  networkLock: field(64, 'enum'),
}

/** `criu_req`. */
export const request: MessageSchema = {
  type: field(1, 'enum'),
  opts: field(2, options),
  notifySuccess: field(3, 'bool'),
}

/** `criu_resp`. */
export const response: MessageSchema = {
  type: field(1, 'enum'),
  success: field(2, 'bool'),
  restore: field(4, { pid: field(1, 'int64') }),
  notify: field(5, { script: field(1, 'string'), pid: field(2, 'int64') }),
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
  readonly fileLocks?: boolean
  readonly logLevel?: number
  readonly logFile?: string
  readonly notifyScripts?: boolean
  readonly root?: string
  readonly workDirFd?: number
  readonly linkRemap?: boolean
  readonly manageCgroups?: boolean
  readonly rstSibling?: boolean
  readonly inheritFd?: readonly { readonly key: string; readonly fd: number }[]
  readonly manageCgroupsMode?: number
  readonly external?: readonly string[]
  readonly freezeCgroup?: string
  readonly networkLock?: number
}

/** What {@link response} gives. */
export interface CriuResponse {
  readonly type?: number
  readonly success?: boolean
  readonly restore?: { readonly pid?: number }
  readonly notify?: { readonly script?: string; readonly pid?: number }
  readonly errno?: number
  readonly message?: string
}
