/** The mounts of a container that come from outside: CRIU is told of each by its place, and given it there again. */
import { readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { externalMounts } from '../container/checkpoint/dump-options.js'
import type { Spec } from '../launch/oci-spec.js'
import { parseMountInfo } from '../sys/mountinfo.js'

interface ExternalMount {
  readonly key: string
  readonly value: string
}

/** Of one that runs. The key of a mount is its place, as with runc, so that either restores what the other has dumped. */
export function dumpedMounts(pid: number, rootfs: string, { mounts = [] }: Spec): ExternalMount[] {
  const mounted = parseMountInfo(readFileSync(`/proc/${String(pid)}/mountinfo`, 'utf8'))
  // A tmpfs that is bound into several containers is none of this one's, whatever it looks like from within.
  const bound = new Set(mounts.filter(isBind).map(({ destination }) => placeInside(rootfs, destination)))
  const places = new Set([
    ...externalMounts(mounted).map(({ mountPoint }) => mountPoint),
    ...mounted.flatMap(({ mountPoint }) => (bound.has(mountPoint) ? [mountPoint] : [])),
  ])
  return [...places].map((place) => ({ key: place, value: place }))
}

function isBind({ type, options = [] }: NonNullable<Spec['mounts']>[number]): boolean {
  return type === 'bind' || options.some((option) => option === 'bind' || option === 'rbind')
}

/**
 * Where a path leads to in a root, as the kernel shows it then. Nothing is opened by what it says: it is a name that CRIU looks
 * mounts up by.
 */
export function placeInside(root: string, path: string): string {
  const left = path.split('/')
  let place: string[] = []
  for (let links = 0; left.length > 0;) {
    const name = left.shift()!
    if (name === '' || name === '.') continue
    if (name === '..') {
      place.pop()
      continue
    }
    const target = links < MOST_LINKS ? linkAt(join(root, ...place, name)) : undefined
    if (target === undefined) {
      place.push(name)
      continue
    }
    links++
    if (target.startsWith('/')) place = []
    left.unshift(...target.split('/'))
  }
  return `/${place.join('/')}`
}

/** As path_resolution(7) has it. */
const MOST_LINKS = 40

function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
