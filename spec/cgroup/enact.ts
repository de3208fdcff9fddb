/** Do in a spec what the launcher does with the cgroup part of a plan, so that lib/cgroup is tested without it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import type { CgroupPlan } from '../../lib/cgroup/cgroups.js'

export function makeCgroup(plan: CgroupPlan): void {
  for (const directory of plan.directories) mkdirSync(directory)
  for (const { path, value, optional } of plan.writes) {
    try {
      writeFileSync(path, value, { flag: 'r+' })
    } catch (error) {
      if (optional !== true) throw error
    }
  }
}

/** Start a shell that enters the plan's cgroups before it runs the script. */
export async function startInside(plan: CgroupPlan, script: string): Promise<ChildProcess> {
  const files = [...plan.attach, ...(plan.into === undefined ? [] : [join(plan.into, 'cgroup.procs')])]
  const enter = files.map((file) => `echo $$ > '${file}'`).join(' && ')
  const child = spawn('sh', ['-c', `${enter} && echo in && { ${script}\n}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}
