/** Codes of failures that any part can meet: the host, the options, the caller's own cancel. */
export type GeneralErrorCode =
  | 'INVALID_OPTION'
  | 'PLATFORM_UNSUPPORTED'
  | 'KERNEL_UNSUPPORTED'
  | 'PERMISSION_DENIED'
  | 'SYSTEM_CALL_FAILED'
  | 'DISK_FULL'
  | 'LIMIT_REACHED'
  | 'ABORTED'
  | 'RUNTIME_CLOSED'
  | 'TEARDOWN_FAILED'

/** Codes of lib/image: references, registries, archives, images made from the host. */
export type ImageErrorCode =
  | 'INVALID_REFERENCE'
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_IN_USE'
  | 'IMAGE_INVALID'
  | 'PLATFORM_NOT_FOUND'
  | 'MEDIA_TYPE_UNSUPPORTED'
  | 'DIGEST_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'ARCHIVE_INVALID'
  | 'CREDENTIALS_INVALID'
  | 'IMAGE_FORBIDDEN'
  | 'POLICY_INVALID'
  | 'REGISTRY_UNREACHABLE'
  | 'REGISTRY_UNAUTHORIZED'
  | 'REGISTRY_RATE_LIMITED'
  | 'REGISTRY_FAILED'
  | 'HOST_PROGRAM_NOT_FOUND'
  | 'HOST_PROGRAM_INVALID'
  | 'HOST_LIBRARY_NOT_FOUND'
  | 'HOST_FILE_NOT_FOUND'
  | 'HOST_FILE_CHANGED'
  | 'ELF_INVALID'

/** Codes of lib/storage: blobs, layers, drivers and the state database. */
export type StorageErrorCode =
  | 'LAYER_INVALID'
  | 'LAYER_TOO_LARGE'
  | 'BLOB_NOT_FOUND'
  | 'DRIVER_UNSUPPORTED'
  | 'DRIVER_MISMATCH'
  | 'QUOTA_UNSUPPORTED'
  | 'STATE_INVALID'

/** Codes of volumes (lib/storage/volumes). */
export type VolumeErrorCode =
  | 'VOLUME_NOT_FOUND'
  | 'VOLUME_EXISTS'
  | 'VOLUME_IN_USE'
  | 'VOLUME_DRIVER_NOT_FOUND'
  | 'VOLUME_PROGRAM_NOT_FOUND'
  | 'VOLUME_LOCKED'
  | 'VOLUME_KEY_WRONG'
  | 'VOLUME_FAILED'

/** Codes of lib/network: networks, their addresses, published ports. */
export type NetworkErrorCode =
  | 'NETWORK_NOT_FOUND'
  | 'NETWORK_EXISTS'
  | 'NETWORK_IN_USE'
  | 'NETWORK_FAILED'
  | 'SUBNET_OVERLAPS'
  | 'SUBNET_EXHAUSTED'
  | 'ADDRESS_IN_USE'
  | 'PORT_IN_USE'

/** Codes of lib/container: the handle and its states. */
export type ContainerErrorCode =
  | 'CONTAINER_NOT_FOUND'
  | 'NAME_IN_USE'
  | 'INVALID_STATE'
  | 'STILL_RUNNING'
  | 'COMMAND_NOT_FOUND'
  | 'COMMAND_NOT_EXECUTABLE'
  | 'USER_NOT_FOUND'
  | 'WORKDIR_INVALID'
  | 'MOUNT_SOURCE_NOT_FOUND'
  | 'PATH_NOT_FOUND'
  | 'DEVICE_NOT_FOUND'
  | 'HOOK_FAILED'
  | 'CDI_INVALID'
  | 'CDI_UNSUPPORTED'
  | 'SPEC_INVALID'
  | 'OUTPUT_TOO_LARGE'
  | 'LOG_UNREADABLE'
  | 'READY_TIMEOUT'
  | 'EXITED_BEFORE_READY'

/** Codes of checkpoints (lib/container/checkpoint). */
export type CheckpointErrorCode = 'CHECKPOINT_FAILED' | 'CHECKPOINT_INVALID' | 'CHECKPOINT_PROGRAM_NOT_FOUND'

/** Codes of lib/pod. */
export type PodErrorCode = 'POD_NOT_FOUND' | 'DEPENDENCY_CYCLE' | 'DEPENDENCY_FAILED'

/** Codes of lib/launch: the helper, the launcher, the monitors. */
export type LaunchErrorCode = 'HELPER_NOT_FOUND' | 'LAUNCHER_DIED' | 'MONITOR_DIED' | 'START_FAILED'

/** Codes of lib/cgroup. */
export type CgroupErrorCode = 'CGROUP_UNAVAILABLE' | 'CGROUP_CONTROLLER_MISSING' | 'CGROUP_NOT_FOUND' | 'LIMIT_REFUSED'

/** Codes of lib/security: capabilities, seccomp profiles, labels. */
export type SecurityErrorCode = 'SECCOMP_PROFILE_INVALID' | 'CAPABILITY_UNKNOWN' | 'APPARMOR_PROFILE_NOT_LOADED'

/** Codes of user namespaces: ids that are given to containers. */
export type UserNamespaceErrorCode = 'SUBIDS_NOT_FOUND' | 'SUBIDS_INVALID' | 'SUBIDS_TOO_FEW'

/** Codes of what lib/network runs beside itself: CNI plugins, user-mode networks, the responder for names. */
export type NetworkProgramErrorCode =
  | 'CNI_PLUGIN_NOT_FOUND'
  | 'CNI_PLUGIN_FAILED'
  | 'CNI_PLUGIN_TIMEOUT'
  | 'CNI_RESULT_INVALID'
  | 'NETWORK_PROGRAM_NOT_FOUND'
  | 'NETWORK_PROGRAM_FAILED'
  | 'NAMES_FAILED'

/** Every code that a {@link PodlingError} can carry. */
export type ErrorCode =
  | GeneralErrorCode
  | ImageErrorCode
  | StorageErrorCode
  | VolumeErrorCode
  | NetworkErrorCode
  | ContainerErrorCode
  | CheckpointErrorCode
  | PodErrorCode
  | LaunchErrorCode
  | CgroupErrorCode
  | SecurityErrorCode
  | UserNamespaceErrorCode
  | NetworkProgramErrorCode

/** What a {@link PodlingError} can carry beside its code and message. */
export interface PodlingErrorDetails {
  /** The failure beneath this one. Where a clean-up failed too, an `AggregateError` of both. */
  readonly cause?: unknown
  /** The system call that failed, such as `'mount'`. */
  readonly syscall?: string
  /** The errno name that it returned, such as `'EPERM'` (errno(3)). */
  readonly errno?: string
  /** The path that it was about. */
  readonly path?: string
}

/**
 * The one error class of Podling. Its message says what was tried, why it failed and, where there is one, the remedy;
 * its `code` is for programs.
 *
 * @example
 * try { await runtime.run({ image: 'app', command: ['serve'] }) }
 * catch (error) { if (error instanceof PodlingError && error.code === 'IMAGE_NOT_FOUND') ... }
 */
export class PodlingError extends Error {
  override readonly name = 'PodlingError'
  readonly code: ErrorCode
  // `declare`: a detail that is not known is absent, not there with the value undefined.
  /** The system call that failed, where one did. */
  declare readonly syscall?: string
  /** Its errno name, such as `'ENOSPC'`. */
  declare readonly errno?: string
  /** The path that it was about. */
  declare readonly path?: string

  constructor(code: ErrorCode, message: string, details: PodlingErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    if (details.syscall !== undefined) this.syscall = details.syscall
    if (details.errno !== undefined) this.errno = details.errno
    if (details.path !== undefined) this.path = details.path
  }
}
