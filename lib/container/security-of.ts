/** What confines a container, in one place: for `inspect()`. Pure. */
import type { ApparmorState } from './labels/choose-apparmor.js'
import type { LandlockRules } from '../security/landlock.js'
import type { SelinuxLabels } from '../security/selinux.js'
import type { Spec } from '../launch/oci-spec.js'
import type { ContainerRecord } from './record.js'

/** What confines a container, and what doesn't. */
export interface ContainerSecurity {
  readonly privileged: boolean
  readonly noNewPrivileges: boolean
  /** Of its root; what is mounted in it may be writable. */
  readonly readOnly: boolean
  /** Its bounding set: no program in it can have more. */
  readonly capabilities: readonly string[]
  /** Where its filter of system calls comes from. */
  readonly seccomp: 'default' | 'unconfined' | 'profile'
  /** What it finds hidden. */
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  /** Absent: none. */
  readonly landlock?: LandlockRules
  /** Absent: there was no SELinux when it was made. */
  readonly selinux?: SelinuxLabels
  /** Absent: there was no AppArmor when it was made. */
  readonly apparmor?: ApparmorState
}

export function securityOf({ given, seccomp, apparmor }: ContainerRecord, spec: Spec): ContainerSecurity {
  const { process, linux, root } = spec
  const { landlock, selinuxLabel } = process ?? {}
  const { mountLabel } = linux ?? {}
  return {
    privileged: given?.privileged ?? false,
    noNewPrivileges: process?.noNewPrivileges ?? false,
    readOnly: root?.readonly ?? false,
    capabilities: process?.capabilities?.bounding ?? [],
    seccomp: seccomp === undefined ? 'unconfined' : given?.seccomp === undefined ? 'default' : 'profile',
    maskedPaths: linux?.maskedPaths ?? [],
    readonlyPaths: linux?.readonlyPaths ?? [],
    ...(landlock === undefined ? {} : { landlock }),
    ...(apparmor === undefined ? {} : { apparmor }),
    ...(mountLabel === undefined
      ? {}
      : { selinux: { ...(selinuxLabel === undefined ? {} : { process: selinuxLabel }), mount: mountLabel } }),
  }
}
