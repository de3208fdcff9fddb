/** The processes of a container, as its cgroup has them. */
import { readFile } from 'node:fs/promises'
import type { Lifecycle } from '../lifecycle.js'

/** By their pids on the host. */
export async function processesOf({ context, record }: Lifecycle): Promise<number[]> {
  const { unified, attach } = context.cgroups.plan(record.id, {})
  const file = unified === undefined ? attach[0] : `${unified}/cgroup.procs`
  if (file === undefined) return []
  return (await readFile(file, 'latin1')).split('\n').filter(Boolean).map(Number)
}
