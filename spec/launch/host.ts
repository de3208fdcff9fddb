/** A host process for the tests to kill: starts a container by the plan in its argument and says so. */
import { Launcher } from '../../lib/launch/launcher.js'
import type { Plan } from '../../lib/launch/plan.js'

const launcher = await Launcher.start()
const plan = JSON.parse(process.argv[2]!) as Plan
const idle = process.argv[3] === 'idle'
if (idle) {
  /* Nothing but an idle launcher and a container that nobody waits for: this process must end by itself. */
  const monitor = await launcher.launch(plan, [])
  process.stdout.write(`${monitor.pid}\n`)
} else {
  process.stdout.write('ready\n')
  const monitor = await launcher.launch(plan, [])
  process.stdout.write(`${monitor.pid}\n`)
  await monitor.exited
}
