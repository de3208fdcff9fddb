/** A start on a bridge with a way out, beside the bare system calls and podman's bridge. */
import { floor, floorRow, Podman } from './peers.js'
import { openRuntime, repeat, timeRun } from './podling.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'

const PODLING = 'podling, bridge network'

async function podling({ workspace }: Context): Promise<Subject[]> {
  const { runtime, dispose } = await openRuntime(workspace.directory, workspace.tar)
  const options = { network: 'bridge', name: 'bench' }
  return [
    {
      name: PODLING,
      sample: async (count) => ({ [PODLING]: await repeat(count, () => timeRun(runtime, options)) }),
      close: dispose,
    },
  ]
}

async function podman({ workspace }: Context): Promise<Subject[]> {
  const podman = await Podman.make(workspace)
  if (podman === undefined) return []
  await podman.makeNetwork()
  return [{ ...podman.start('bridge'), close: () => podman.close() }]
}

export const bridge: Trial = {
  name: 'bridge',
  about: 'start → exit of /bin/true on a bridge, with a name, limits, seccomp and a log; peers as whole commands',
  own: false,
  async run(context) {
    const subjects = [floor(context.workspace, 'bridge'), ...(await gather(context, { podling, podman }))]
    const samples = await inTurn(context, subjects)
    const base = samples.get(floorRow('bridge')) ?? []
    return [...samples].map(([subject, values]) => ({
      trial: 'bridge',
      subject,
      unit: 'ms',
      samples: values,
      floor: base,
      ...(subject === PODLING ? { aim: 'at most 2 × floor' } : {}),
    }))
  },
}
