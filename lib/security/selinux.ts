/**
 * SELinux: what a container's processes and files are called. As libselinux and container-selinux have it, the types come
 * from the policy's own lxc_contexts(5), and what keeps containers apart are two categories that each has for itself. Pure.
 */
import { randomInt } from 'node:crypto'

/** What a container is called: the words of `podman run --security-opt label=`. */
export interface SelinuxOption {
  /** @default that of the policy, `'system_u'` */
  readonly user?: string
  /** @default that of the policy, `'system_r'` */
  readonly role?: string
  /** Of its processes, `'container_t'`, `'spc_t'`. @default that of the policy */
  readonly type?: string
  /** Of its files. @default that of the policy, `'container_file_t'` */
  readonly fileType?: string
  /** Sensitivity and categories of both, `'s0:c100,c200'`. @default s0, and two categories that no other container has */
  readonly level?: string
  /** No label of its own: the policy decides what it becomes, which is what whoever starts it is. @default false */
  readonly disable?: boolean
}

/** `user:role:type:level`, of which the last is missing in policies without one. */
export interface SelinuxContext {
  readonly user: string
  readonly role: string
  readonly type: string
  readonly level?: string
}

/** What the policy of this machine calls containers. */
export interface SelinuxPolicy {
  readonly process: SelinuxContext
  readonly file: SelinuxContext
}

/** A container's labels. */
export interface SelinuxLabels {
  /** Of its processes; absent where SELinux is disabled for it. */
  readonly process?: string
  /** Of its files. */
  readonly mount: string
}

/** Of targeted policies, where lxc_contexts says nothing. */
export const usualPolicy: SelinuxPolicy = {
  process: { user: 'system_u', role: 'system_r', type: 'container_t', level: 's0' },
  file: { user: 'system_u', role: 'object_r', type: 'container_file_t', level: 's0' },
}

/** @returns undefined for what is none */
export function parseContext(text: string): SelinuxContext | undefined {
  const [, user, role, type, level] = /^([^:\s]+):([^:\s]+):([^:\s]+)(?::(\S+))?$/.exec(text) ?? []
  if (user === undefined || role === undefined || type === undefined) return undefined
  return { user, role, type, ...(level === undefined ? {} : { level }) }
}

export function formatContext({ user, role, type, level }: SelinuxContext): string {
  return [user, role, type, ...(level === undefined ? [] : [level])].join(':')
}

/** The file lxc_contexts: lines of `name = "context"`. What it lacks is as usual. */
export function parseLxcContexts(text: string): SelinuxPolicy {
  const of = (name: string): SelinuxContext | undefined => {
    const context = new RegExp(`^\\s*${name}\\s*=\\s*"?([^"\\s]+)"?\\s*$`, 'm').exec(text)?.[1]
    return context === undefined ? undefined : parseContext(context)
  }
  return { process: of('process') ?? usualPolicy.process, file: of('file') ?? usualPolicy.file }
}

/** SELINUXTYPE of selinux_config(5), the policy's name. */
export function parsePolicyName(config: string): string {
  return /^\s*SELINUXTYPE\s*=\s*(\S+)\s*$/m.exec(config)?.[1] ?? 'targeted'
}

/** A category is one of so many, c0 to c1023. */
const categories = 1024

/** Of containers that SELinux is disabled for, and nobody else's. */
export const disabledLevel = `s0:c${String(categories - 2)},c${String(categories - 1)}`

/** Two categories by chance, the lower one first. */
export function randomLevel(random: (below: number) => number = (below) => randomInt(below)): string {
  for (;;) {
    const [one, other] = [random(categories), random(categories)]
    const level = `s0:c${String(Math.min(one, other))},c${String(Math.max(one, other))}`
    if (one !== other && level !== disabledLevel) return level
  }
}

/** Whether a policy knows levels at all, and so categories. */
export function hasLevels({ file }: SelinuxPolicy): boolean {
  return file.level !== undefined
}

/**
 * @param level the container's own, where the option says none
 */
export function selinuxLabels(policy: SelinuxPolicy, option: SelinuxOption, level: string | undefined): SelinuxLabels {
  const at = (context: SelinuxContext, own: string | undefined): SelinuxContext =>
    own === undefined || context.level === undefined ? context : { ...context, level: own }
  if (option.disable === true) return { mount: formatContext(at(policy.file, disabledLevel)) }
  const { user, role, type, fileType } = option
  const own = option.level ?? level
  return {
    process: formatContext({
      ...at(policy.process, own),
      ...(user === undefined ? {} : { user }),
      ...(role === undefined ? {} : { role }),
      ...(type === undefined ? {} : { type }),
    }),
    mount: formatContext({
      ...at(policy.file, own),
      ...(user === undefined ? {} : { user }),
      ...(fileType === undefined ? {} : { type: fileType }),
    }),
  }
}

/** The level that a label ends with. */
export function levelOf(label: string): string | undefined {
  return parseContext(label)?.level
}

/** Of files that all containers share: without categories. */
export function sharedLabel(label: string): string {
  const context = parseContext(label)
  if (context?.level === undefined) return label
  return formatContext({ ...context, level: context.level.replace(/[:-].*$/, '') })
}
