/** Which kernel parameters belong to a container's own namespaces, and may so be set for it. Pure. */
import { show, type Fault } from '../schema/faults.js'
import type { ContainerOptions } from './options.js'

/** Of the IPC namespace (ipc_namespaces(7)). */
const ipcKeys = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
])

/** The namespace that a parameter belongs to; undefined for those of the whole host. */
export function sysctlNamespace(key: string): 'ipc' | 'network' | 'uts' | undefined {
  if (ipcKeys.has(key) || key.startsWith('fs.mqueue.')) return 'ipc'
  if (key.startsWith('net.')) return 'network'
  return key === 'kernel.domainname' ? 'uts' : undefined
}

/** Letters, digits, dots; a slash stands for a dot in a name, as in net.ipv4.conf.eth0/1.forwarding (sysctl.d(5)). */
export function isSysctlName(key: string): boolean {
  return /^[a-zA-Z0-9_-]+([./][a-zA-Z0-9_-]+)+$/.test(key)
}

export function checkSysctls({ sysctls = {}, network = 'none', ipc, uts }: ContainerOptions): Fault[] {
  return Object.entries(sysctls).flatMap(([given, value]) => {
    const fault = (message: string): Fault[] => [{ path: `sysctls[${JSON.stringify(given)}]`, message }]
    if (!isSysctlName(given)) {
      return fault(`must be the name of a kernel parameter such as net.ipv4.ip_forward`)
    }
    if (/[\0\n]/.test(String(value))) return fault(`must have a value of one line, got ${show(value)}`)
    if (given === 'kernel.hostname') return fault('is set by the option hostname')
    const namespace = sysctlNamespace(given)
    if (namespace === undefined) {
      return fault(`belongs to the whole host; a container can have net.*, fs.mqueue.* and ${[...ipcKeys].join(', ')}`)
    }
    const joined = typeof network === 'string' && /^(container|ns):/.test(network)
    if (namespace === 'network' && joined) {
      return fault(`can't be set with network: ${show(network)}: the network namespace is another's`)
    }
    const host = { network: network === 'host', ipc: ipc === 'host', uts: uts === 'host' }[namespace]
    const option = { network: 'network', ipc: 'ipc', uts: 'uts' }[namespace]
    return host ? fault(`can't be set with ${option}: 'host', it would change the host`) : []
  })
}
