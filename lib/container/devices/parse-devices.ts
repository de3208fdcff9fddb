/** What `devices` and `deviceCgroupRules` ask for. Pure. */
import type { DeviceRule } from '../../cgroup/resources.js'
import { show, type Fault } from '../../schema/faults.js'

/** A device of the host, or all below a directory of it, for a container. */
export interface DeviceRequest {
  readonly source: string
  readonly target: string
  /** Any of r, w, m. */
  readonly access: string
}

export interface DeviceRequests {
  readonly devices: readonly DeviceRequest[]
  /** Qualified names of the Container Device Interface, `vendor.com/class=name`. */
  readonly cdi: readonly string[]
  readonly rules: readonly DeviceRule[]
}

const qualified =
  /^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?\/[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9])?=[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/

export function parseDevices(
  { devices = [], deviceCgroupRules = [] }: { devices?: readonly string[]; deviceCgroupRules?: readonly string[] },
  faults: Fault[],
): DeviceRequests {
  const found: { devices: DeviceRequest[]; cdi: string[]; rules: DeviceRule[] } = { devices: [], cdi: [], rules: [] }
  for (const [index, text] of devices.entries()) {
    const device = qualified.test(text) ? text : parseDevice(text)
    if (device === undefined) {
      const message = `must be '/dev/fuse', '/dev/fuse:/dev/fuse:rwm', or a CDI name such as 'vendor.com/gpu=0', got ${show(text)}`
      faults.push({ path: `devices[${String(index)}]`, message })
    } else if (typeof device === 'string') found.cdi.push(device)
    else found.devices.push(device)
  }
  for (const [index, text] of deviceCgroupRules.entries()) {
    const rule = parseDeviceRule(text)
    if (rule !== undefined) found.rules.push(rule)
    else {
      const message = `must be a kind, numbers and access, 'c 1:3 rwm', got ${show(text)}`
      faults.push({ path: `deviceCgroupRules[${String(index)}]`, message })
    }
  }
  return found
}

/** `source[:target][:access]` (podman-run(1), `--device`). */
function parseDevice(text: string): DeviceRequest | undefined {
  const [source = '', second, third, ...more] = text.split(':')
  const targetGiven = second?.startsWith('/') ?? false
  const target = targetGiven ? (second ?? source) : source
  const access = (targetGiven ? third : second) ?? 'rwm'
  const tooMany = more.length > 0 || (!targetGiven && third !== undefined)
  if (tooMany || !isPath(source) || !isPath(target) || !isAccess(access)) return undefined
  return { source, target, access }
}

function isPath(text: string): boolean {
  return /^\/[^\0]*[^/\0]$/.test(text) && !text.split('/').includes('..')
}

export function isAccess(text: string): boolean {
  return /^(?!.*(.).*\1)[rwm]{1,3}$/.test(text)
}

/** A line of devices.allow (cgroup-v1/devices.rst), `c 1:3 rwm`, `b *:* r`. */
function parseDeviceRule(text: string): DeviceRule | undefined {
  const match = /^([abc]) (\d{1,7}|\*):(\d{1,7}|\*) (\w{1,3})$/.exec(text)
  const [, type, major, minor, access = ''] = match ?? []
  if (match === null || !isAccess(access)) return undefined
  const number = (digits: string | undefined): number => (digits === '*' ? -1 : Number(digits))
  return { allow: true, type: type as 'a' | 'b' | 'c', major: number(major), minor: number(minor), access }
}
