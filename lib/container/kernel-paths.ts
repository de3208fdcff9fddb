/** Which files of the kernel a container finds hidden or read-only, as `podman run --security-opt mask= and unmask=` mean it. Pure. */
import type { Fault } from '../schema/faults.js'
import { show } from '../schema/faults.js'
import { defaultMaskedPaths, defaultReadonlyPaths } from './default-mounts.js'
import type { ContainerOptions } from './options.js'

export interface KernelPaths {
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
}

type Asked = Pick<ContainerOptions, 'mask' | 'unmask' | 'privileged'>

/** What is masked by name stays so, with `privileged` too. */
export function kernelPaths({ mask = [], unmask = [], privileged }: Asked): KernelPaths {
  const patterns = typeof unmask === 'string' ? [unmask] : unmask
  const all = privileged === true || patterns.some(isAllWord)
  const kept = (path: string): boolean => !all && !patterns.some((pattern) => matches(path, pattern))
  return {
    maskedPaths: [...new Set([...defaultMaskedPaths.filter(kept), ...mask])],
    readonlyPaths: defaultReadonlyPaths.filter(kept),
  }
}

export function unmaskFaults(unmask: ContainerOptions['unmask']): Fault[] {
  const list = typeof unmask === 'string' ? [unmask] : (unmask ?? [])
  return list.flatMap((pattern, index) => {
    const path = typeof unmask === 'string' ? 'unmask' : `unmask[${String(index)}]`
    if (isAllWord(pattern)) return []
    if (!pattern.startsWith('/'))
      return [
        { path, message: `must be 'ALL' or an absolute path, which may have *, ? and [a-z], got ${show(pattern)}` },
      ]
    if ([...defaultMaskedPaths, ...defaultReadonlyPaths].some((one) => matches(one, pattern))) return []
    const known = [...defaultMaskedPaths, ...defaultReadonlyPaths].sort().join(', ')
    return [{ path, message: `${show(pattern)} is neither masked nor read-only; what is: ${known}` }]
  })
}

function isAllWord(word: string): boolean {
  return word.toUpperCase() === 'ALL'
}

/** The patterns of Go's path.Match, which Podman takes: a star stays within one name. */
function matches(path: string, pattern: string): boolean {
  const trimmed = pattern.length > 1 ? pattern.replace(/\/+$/, '') : pattern
  const expression = trimmed.replace(/\[\^?[^\]/]+\]|[\s\S]/g, (part) => {
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    return part.length > 1 ? part.replaceAll('\\', '\\\\') : part.replace(/[.+^${}()|[\]\\]/, '\\$&')
  })
  return new RegExp(`^${expression}$`).test(path)
}
