/** A start by an ordinary user beside the same by root, each in a process of its own, and beside rootless podman. */
import type { OrdinaryUser } from '../fixtures/ordinary-user.js'
import { command } from './peers.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'
import { Place, startHost, userPodman } from './user-place.js'

const ROOT_ROW = 'podling, root'
const ROOTLESS_ROW = 'podling, rootless'

async function podling(place: Place, name: string, user: Pick<OrdinaryUser, 'uid' | 'gid'>): Promise<Subject> {
  const host = await startHost(place, user)
  return {
    name,
    sample: async (count) => ({ [name]: (await host.ask(`start ${String(count)}`)) as number[] }),
    close: () => host.close(),
  }
}

async function podman(place: Place, { workspace }: Context): Promise<Subject[]> {
  const podman = await userPodman(place)
  if (podman === undefined) return []
  const { argv, env, image, close } = podman
  const run = ['run', '--rm', '--network', 'none', '--log-driver', 'none', image, '/bin/true']
  return [command(workspace, 'podman run, rootless', [...argv, ...run], { most: 30, env, close })]
}

export const rootless: Trial = {
  name: 'rootless',
  about: 'start → exit of /bin/true without a network and without limits, by root and by an ordinary user',
  own: false,
  async run(context) {
    const place = new Place(context.workspace)
    try {
      const subjects = await gather(context, {
        podling: async () => [
          await podling(place, ROOT_ROW, { uid: 0, gid: 0 }),
          await podling(place, ROOTLESS_ROW, place.user),
        ],
        podman: () => podman(place, context),
      })
      const samples = await inTurn(context, subjects)
      const root = samples.get(ROOT_ROW)
      return [...samples].map(([subject, values]) => ({
        trial: 'rootless',
        subject,
        unit: 'ms',
        samples: values,
        ...(root === undefined ? {} : { floor: root }),
        ...(subject === ROOTLESS_ROW ? { aim: 'at most 1.3 × root' } : {}),
      }))
    } finally {
      place.close()
    }
  },
}
