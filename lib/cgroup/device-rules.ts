/** Which device nodes a container may make and open (OCI runtime spec, config-linux.md, "Device allow list"). Pure. */
import type { DeviceRule } from './resources.js'

/**
 * What every container gets, whatever its own rules say about other devices: it may make any node (the mknod itself
 * needs CAP_MKNOD), and may use those that have no state of the host behind them.
 */
export const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }, // null
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' }, // zero
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' }, // full
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' }, // random
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' }, // urandom
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' }, // tty
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' }, // console
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' }, // ptmx
  { allow: true, type: 'c', major: 136, access: 'rwm' }, // pts/*
]

/** All rules of a container in order, the later ones stronger: everything denied, its own, the defaults. */
export function deviceRules(own: readonly DeviceRule[] | undefined): DeviceRule[] {
  const rules = [{ allow: false }, ...(own ?? []), ...DEFAULT_DEVICE_RULES]
  // What stands before a rule that covers everything doesn't count.
  return rules.slice(Math.max(0, rules.findLastIndex(coversEverything)))
}

/** Whether the rules let everything through, so that no filter is needed at all. */
export function allowsEverything(rules: readonly DeviceRule[]): boolean {
  return rules.every((rule) => rule.allow) && rules.some(coversEverything)
}

function coversEverything(rule: DeviceRule): boolean {
  const access = rule.access ?? 'rwm'
  return (
    (rule.type ?? 'a') === 'a' &&
    (rule.major ?? -1) < 0 &&
    (rule.minor ?? -1) < 0 &&
    ['r', 'w', 'm'].every((one) => access.includes(one))
  )
}

/** One rule as lines for devices.allow or devices.deny of cgroup v1: `c 1:3 rwm`. */
export function v1DeviceLines(rule: DeviceRule): string[] {
  // The kernel reads `a` as everything at once, whatever numbers and access stand behind it.
  if (coversEverything(rule)) return ['a']
  if (rule.type === 'p') return []
  const number = (value: number | undefined): string => (value === undefined || value < 0 ? '*' : String(value))
  const rest = `${number(rule.major)}:${number(rule.minor)} ${rule.access ?? 'rwm'}`
  const type = rule.type ?? 'a'
  return type === 'a' ? [`c ${rest}`, `b ${rest}`] : [`${type === 'u' ? 'c' : type} ${rest}`]
}
