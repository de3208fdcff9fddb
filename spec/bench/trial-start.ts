/** From an image that is ready to the exit of /bin/true, beside the floor and the peers. */
import { bwrap, crun, crunWrapper, floor, floorRow, Podman, runc, withoutWrapper, type OciNetwork } from './peers.js'
import { openRuntime, repeat, timeRun } from './podling.js'
import type { Row } from './table.js'
import { gather, inTurn, type Context, type Maker, type Subject, type Trial } from './trial.js'
import type { Workspace } from './workspace.js'

const NETWORKS: readonly OciNetwork[] = ['own', 'host']
const AIM = 'at most 2 × floor, below crun run'

async function podling({ workspace }: Context): Promise<Subject[]> {
  const { runtime, dispose } = await openRuntime(workspace.directory, workspace.tar)
  return NETWORKS.map((network) => ({
    name: `podling, ${network} network`,
    async sample(count) {
      const times = await repeat(count, () => timeRun(runtime, { network: network === 'own' ? 'none' : 'host' }))
      return { [`podling, ${network} network`]: times }
    },
    // One runtime serves both.
    ...(network === 'own' ? { close: dispose } : {}),
  }))
}

async function podman({ workspace }: Context): Promise<Subject[]> {
  const podman = await Podman.make(workspace)
  if (podman === undefined) return []
  return NETWORKS.map((network) => ({
    ...podman.start(network),
    ...(network === 'own' ? { close: () => podman.close() } : {}),
  }))
}

/** A maker of one subject for each network. */
function each(make: (workspace: Workspace, network: OciNetwork) => Promise<Subject[]> | Subject[]): Maker {
  return async ({ workspace }) => {
    const subjects: Subject[] = []
    for (const network of NETWORKS) subjects.push(...(await make(workspace, network)))
    return subjects
  }
}

const MAKERS = {
  podling,
  crun: async (context: Context) => [...crunWrapper(context.workspace), ...(await each(crun)(context))],
  runc: each(runc),
  bwrap: each(bwrap),
  podman,
}

export const start: Trial = {
  name: 'start',
  about: 'an image that is ready → start → exit of /bin/true; peers as whole commands',
  own: false,
  async run(context) {
    const floors = NETWORKS.map((network) => floor(context.workspace, network))
    const samples = await inTurn(context, [...floors, ...(await gather(context, MAKERS))])
    for (const network of NETWORKS) {
      const bare = withoutWrapper(samples, network)
      if (bare.length > 0) samples.set(`crun run, ${network} network, wrapper taken off`, bare)
    }
    const rows = NETWORKS.flatMap((network) =>
      [...samples].flatMap(([subject, values]): Row[] => {
        if (!subject.includes(`${network} network`)) return []
        const base = samples.get(floorRow(network))
        const aim = subject.startsWith('podling') && network === 'own' ? { aim: AIM } : {}
        return [
          {
            trial: 'start',
            subject,
            unit: 'ms',
            samples: values,
            ...(base === undefined ? {} : { floor: base }),
            ...aim,
          },
        ]
      }),
    )
    const rest = [...samples].filter(([subject]) => !subject.includes(' network'))
    return [...rows, ...rest.map(([subject, values]) => ({ trial: 'start', subject, unit: 'ms', samples: values }))]
  },
}
