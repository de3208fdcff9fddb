/** Where a spec's `cgroupsPath` puts a container (config-linux.md, "Cgroups Path"): relative paths count from the top, too. Pure. */
import { PodlingError } from '../errors.js'

export interface CgroupPlace {
  /** Below the top of each hierarchy, without a slash in front; `'/'` is the top. */
  readonly parent: string
  readonly name: string
}

/** @throws PodlingError `SPEC_INVALID` */
export function cgroupPlace(path: string | undefined, id: string): CgroupPlace {
  if (path === undefined || path === '') return { parent: '/', name: id }
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  if (names.length === 0 || names.includes('..')) {
    throw new PodlingError('SPEC_INVALID', `linux.cgroupsPath: must name a cgroup, got '${path}'`)
  }
  return { parent: names.slice(0, -1).join('/') || '/', name: names.at(-1)! }
}
