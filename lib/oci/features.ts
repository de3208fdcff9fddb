/** What this runtime does, as the runtime-spec's features.md has it. */
import { capabilityNames } from '../security/capabilities.js'
import { seccompActions, seccompArchitectures, seccompFlags, seccompOperators } from '../security/linux-seccomp.js'
import { mountWords } from '../launch/compile/mount-options.js'
import { print } from './print.js'
import { packageVersion, specVersion } from './version.js'

/** `features` */
export function features(): number {
  const shown = {
    ociVersionMin: '1.0.0',
    ociVersionMax: specVersion,
    hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
    mountOptions: mountWords,
    linux: {
      namespaces: ['cgroup', 'ipc', 'mount', 'network', 'pid', 'user', 'uts'],
      capabilities: capabilityNames,
      cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
      seccomp: {
        enabled: true,
        actions: [...seccompActions].sort(),
        operators: [...seccompOperators].sort(),
        archs: [...seccompArchitectures].sort(),
        knownFlags: [...seccompFlags].sort(),
        supportedFlags: [...seccompFlags].sort(),
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: false },
      mountExtensions: { idmap: { enabled: true } },
    },
    annotations: {
      'io.podling.version': packageVersion(),
      'org.opencontainers.runc.checkpoint.enabled': 'true',
    },
    potentiallyUnsafeConfigAnnotations: [],
  }
  print(`${JSON.stringify(shown, undefined, 4)}\n`)
  return 0
}
