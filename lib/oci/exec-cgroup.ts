/** The cgroups that a further process is born in, and moved into. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { OciError } from './oci-error.js'
import type { ContainerRecord } from './record.js'

interface Entered {
  readonly into?: string
  readonly attach: readonly string[]
}

/**
 * @param asked `PATH`, or `CONTROLLER,...:PATH` of v1, below the container's own
 * @throws OciError for one that there is not
 */
export function execCgroup(record: ContainerRecord, asked: readonly string[]): Entered {
  const { into, attach } = record.cgroup
  const paths = asked.map(parse)
  for (const controller of paths.flatMap(({ controllers = [] }) => controllers)) {
    if (!attach.some((procs) => names(procs, [controller]))) throw new OciError(`unknown controller ${controller}`)
  }
  const below = (directory: string): string => {
    const path = paths.find(({ controllers }) => controllers === undefined || names(directory, controllers))?.path
    const place = path === undefined ? directory : join(directory, path)
    if (existsSync(place)) return place
    throw new OciError(
      `unable to start container process: adding pid to cgroups: open ${join(place, 'cgroup.procs')}: no such file or directory`,
    )
  }
  return {
    ...(into === undefined ? {} : { into: leaf(record, below(into)) }),
    attach: attach.map((procs) => join(below(dirname(procs)), 'cgroup.procs')),
  }
}

function parse(text: string): { readonly controllers?: readonly string[]; readonly path: string } {
  const [, controllers, path = ''] = /^(?:([\w,=.-]+):)?(.*)$/s.exec(text) ?? []
  if (path.split('/').includes('..')) throw new OciError(`${text} is not a sub cgroup path`)
  return controllers === undefined ? { path } : { controllers: controllers.split(','), path }
}

/** Is this a directory of the hierarchy of one of these controllers? */
function names(directory: string, controllers: readonly string[]): boolean {
  const [, hierarchy = ''] = /^\/sys\/fs\/cgroup\/([^/]+)\//.exec(directory) ?? []
  return hierarchy.split(',').some((name) => controllers.includes(name))
}

/**
 * A cgroup that hands controllers down holds no processes (cgroups(7), "no internal processes"): its pid 1 has moved, and the
 * newcomer goes where that is.
 */
function leaf({ pid, place }: ContainerRecord, directory: string): string {
  if (read(join(directory, 'cgroup.subtree_control')).trim() === '') return directory
  const [, now = ''] = /^0::(.*)$/m.exec(read(`/proc/${String(pid)}/cgroup`)) ?? []
  const own = join('/', place.parent, place.name)
  const found = now.startsWith(`${own}/`) ? join(directory, now.slice(own.length)) : directory
  return existsSync(found) ? found : directory
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
