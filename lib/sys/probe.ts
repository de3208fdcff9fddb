/** Look at the machine for kernel.ts to judge. It only looks: nothing is made, mounted or loaded. */
import { existsSync } from 'node:fs'
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
  const [status, filesystems, loadable, builtin, seccompActions, securityModules, namespaces, sysctls] =
    await Promise.all([
      text('/proc/self/status'),
      text('/proc/filesystems'),
      text(`${modules}/modules.dep`),
      text(`${modules}/modules.builtin`),
      text('/proc/sys/kernel/seccomp/actions_avail'),
      text('/sys/kernel/security/lsm'),
      readdir('/proc/self/ns'),
      readSysctls(),
    ])
  return {
    ...base,
    namespaces,
    sysctls,
    missingCalls: missingSystemCalls(),
    landlock: landlockAbi(),
    fuse: existsSync('/dev/fuse'),
    ...(status === undefined ? {} : { status }),
    ...(filesystems === undefined ? {} : { filesystems }),
    ...(loadable === undefined && builtin === undefined ? {} : { modules: `${loadable ?? ''}\n${builtin ?? ''}` }),
    ...(seccompActions === undefined ? {} : { seccompActions }),
    ...(securityModules === undefined ? {} : { securityModules }),
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
