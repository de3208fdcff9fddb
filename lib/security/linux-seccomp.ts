/**
 * The seccomp section of the OCI runtime specification.
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config-linux.md#seccomp
 */
export interface LinuxSeccomp {
  /** What becomes of a system call that no rule is about. */
  readonly defaultAction: SeccompAction
  /** The errno of `SCMP_ACT_ERRNO`, or the message of `SCMP_ACT_TRACE`. Default 1, EPERM. */
  readonly defaultErrnoRet?: number
  /** Architectures that a process may make system calls of. Absent: the machine's own. */
  readonly architectures?: readonly SeccompArchitecture[]
  readonly flags?: readonly SeccompFlag[]
  /** Where the descriptor of `SCMP_ACT_NOTIFY` is sent. */
  readonly listenerPath?: string
  readonly listenerMetadata?: string
  readonly syscalls?: readonly SeccompRule[]
}

/** One rule: these system calls, where all of `args` hold, get this action. */
export interface SeccompRule {
  readonly names: readonly string[]
  readonly action: SeccompAction
  readonly errnoRet?: number
  readonly args?: readonly SeccompArgument[]
}

export interface SeccompArgument {
  /** 0..5 */
  readonly index: number
  /** 64 bit, unsigned. A bigint where a number can't be exact. */
  readonly value: number | bigint
  /** For `SCMP_CMP_MASKED_EQ`: what the argument, masked with `value`, must be. */
  readonly valueTwo?: number | bigint
  readonly op: SeccompOperator
}

/** Names as in seccomp.h of libseccomp. */
export const seccompActions = [
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
] as const
export type SeccompAction = (typeof seccompActions)[number]

export const seccompOperators = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const
export type SeccompOperator = (typeof seccompOperators)[number]

export const seccompFlags = [
  'SECCOMP_FILTER_FLAG_TSYNC',
  'SECCOMP_FILTER_FLAG_LOG',
  'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
] as const
export type SeccompFlag = (typeof seccompFlags)[number]

export const seccompArchitectures = [
  'SCMP_ARCH_X86',
  'SCMP_ARCH_X86_64',
  'SCMP_ARCH_X32',
  'SCMP_ARCH_ARM',
  'SCMP_ARCH_AARCH64',
  'SCMP_ARCH_MIPS',
  'SCMP_ARCH_MIPS64',
  'SCMP_ARCH_MIPS64N32',
  'SCMP_ARCH_MIPSEL',
  'SCMP_ARCH_MIPSEL64',
  'SCMP_ARCH_MIPSEL64N32',
  'SCMP_ARCH_PPC',
  'SCMP_ARCH_PPC64',
  'SCMP_ARCH_PPC64LE',
  'SCMP_ARCH_S390',
  'SCMP_ARCH_S390X',
  'SCMP_ARCH_PARISC',
  'SCMP_ARCH_PARISC64',
  'SCMP_ARCH_RISCV64',
  'SCMP_ARCH_LOONGARCH64',
  'SCMP_ARCH_M68K',
  'SCMP_ARCH_SH',
  'SCMP_ARCH_SHEB',
] as const
export type SeccompArchitecture = (typeof seccompArchitectures)[number]
