/** The freezing of a container by its cgroup, v2's or v1's. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OciError } from './oci-error.js'
import type { CgroupDirectories } from './record.js'

const PATIENCE = 10_000

type Freezers = Pick<CgroupDirectories, 'unified' | 'freezer'>

/** Is all of it frozen? */
export function isFrozen({ unified, freezer }: Freezers): boolean {
  if (unified !== undefined) return /^frozen 1$/m.test(read(join(unified, 'cgroup.events')))
  return freezer !== undefined && read(join(freezer, 'freezer.state')).trim() === 'FROZEN'
}

/** Freeze or thaw, and wait until it is done. @throws OciError */
export async function freeze(cgroup: Freezers, frozen: boolean): Promise<void> {
  const { unified, freezer } = cgroup
  if (unified !== undefined) writeFileSync(join(unified, 'cgroup.freeze'), frozen ? '1' : '0', { flag: 'r+' })
  else if (freezer !== undefined) {
    writeFileSync(join(freezer, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED', { flag: 'r+' })
  } else throw new OciError('this machine has no cgroup that could freeze a container')
  const end = performance.now() + PATIENCE
  while (isFrozen(cgroup) !== frozen) {
    if (performance.now() > end) throw new OciError(`the cgroup is not ${frozen ? 'frozen' : 'thawed'} after 10 s`)
    await sleep(1)
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // It is gone.
  }
}
