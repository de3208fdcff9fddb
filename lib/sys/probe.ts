/** Look at the machine for kernel.ts to judge. It only looks: nothing is made, mounted or loaded. */
import { accessSync, constants } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { release } from 'node:os'
import type { HostFacts } from './kernel.js'
import { landlockAbi, missingSystemCalls } from './system-calls.js'

const SYSCTLS = [
  'user.max_user_namespaces',
  'user.max_net_namespaces',
  'kernel.unprivileged_userns_clone',
  'kernel.apparmor_restrict_unprivileged_userns',
] as const

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** A missing or unreadable file is a fact too. */
async function text(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Collect all facts about this machine. On other systems than Linux only the platform and release are looked at. */
export async function probeHost(): Promise<HostFacts> {
  const base = {
    platform: process.platform,
    release: release(),
    euid: process.geteuid?.() ?? -1,
    namespaces: [],
    sysctls: {},
    missingCalls: [],
    landlock: 0,
    fuse: false,
  }
  if (process.platform !== 'linux') return base
  const modules = `/lib/modules/${release()}`
  const [
    uidMap,
    status,
    filesystems,
    loadable,
    builtin,
    seccompActions,
    securityModules,
    profile,
    namespaces,
    sysctls,
  ] = await Promise.all([
    text('/proc/self/uid_map'),
    text('/proc/self/status'),
    text('/proc/filesystems'),
    text(`${modules}/modules.dep`),
    text(`${modules}/modules.builtin`),
    text('/proc/sys/kernel/seccomp/actions_avail'),
    text('/sys/kernel/security/lsm'),
    text('/proc/self/attr/apparmor/current'),
    namespaceTypes(),
    readSysctls(),
  ])
  return {
    ...base,
    namespaces,
    sysctls,
    missingCalls: missingSystemCalls(),
    landlock: landlockAbi(),
    fuse: isWritable('/dev/fuse'),
    ...(uidMap === undefined ? {} : { uidMap }),
    ...(status === undefined ? {} : { status }),
    ...(filesystems === undefined ? {} : { filesystems }),
    ...(loadable === undefined && builtin === undefined ? {} : { modules: `${loadable ?? ''}\n${builtin ?? ''}` }),
    ...(seccompActions === undefined ? {} : { seccompActions }),
    ...(securityModules === undefined ? {} : { securityModules }),
    ...(profile === undefined ? {} : { apparmorProfile: profile.trim() }),
  }
}

/** The kinds of namespaces that this kernel has: those that it limits the numbers of (namespaces(7)). */
async function namespaceTypes(): Promise<string[]> {
  try {
    return await readdir('/proc/self/ns')
  } catch {
    // Closed to a process that has given up root without an execve(2), as it is not dumpable.
    const names = await readdir('/proc/sys/user').catch(() => [])
    return names.flatMap((name) => /^max_(.*)_namespaces$/.exec(name)?.[1] ?? [])
  }
}

async function readSysctls(): Promise<Record<string, string>> {
  const sysctls: Record<string, string> = {}
  for (const name of SYSCTLS) {
    const value = await text(`/proc/sys/${name.replaceAll('.', '/')}`)
    if (value !== undefined) sysctls[name] = value.trim()
  }
  return sysctls
}
