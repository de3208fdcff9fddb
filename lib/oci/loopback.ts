import type { Plan } from '../launch/plan.js'
import { Helper } from './detached.js'

/** Set the link `lo` up in the network namespace of a process. */
export async function raiseLoopback(pid: number): Promise<void> {
  const plan: Plan = {
    create: [],
    join: [{ type: 'network', path: `/proc/${String(pid)}/ns/net` }],
    cgroup: { directories: [], writes: [], attach: [] },
    stdio: { stdin: 'null', stdout: 'null', stderr: 'null' },
    operations: [{ op: 'loopback-up' }, { op: 'barrier' }, { op: 'exit' }],
  }
  const helper = new Helper(plan, {})
  try {
    await helper.ready()
  } finally {
    await helper.abandon()
  }
}
