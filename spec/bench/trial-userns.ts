/** What a user namespace adds to a start: podling's beside podman's, on the same ids. Neither's root is copied here. */
import { Podman } from './peers.js'
import { repeat, timeRun, withRuntime } from './podling.js'
import type { Row } from './table.js'
import { gather, inTurn, type Subject, type Trial } from './trial.js'

/** Nobody else's on a machine of this kind. */
const MAP = '0:864600000:65536'

export const userns: Trial = {
  name: 'userns',
  about:
    'an image that is ready → start → exit of /bin/true, without a user namespace and with one; podman as whole commands',
  own: false,
  async run(context) {
    const podman = context.wants('podman') ? await Podman.make(context.workspace) : undefined
    try {
      return await withRuntime(context.workspace, async (runtime): Promise<Row[]> => {
        const mine = (name: string, options: Parameters<typeof timeRun>[1]): Subject => ({
          name,
          sample: async (count) => ({ [name]: await repeat(count, () => timeRun(runtime, options)) }),
        })
        const theirs = (name: string, flags: readonly string[]): Subject[] => {
          if (podman === undefined) return []
          const argv = ['run', '--rm', ...podman.containerFlags('own'), ...flags, podman.image, '/bin/true']
          return [podman.subject(name, 10, argv)]
        }
        const subjects = await gather(context, {
          podling: () =>
            Promise.resolve([
              mine('podling, the host’s users', {}),
              mine('podling, users of its own', { uidMap: [MAP] }),
            ]),
          podman: () =>
            Promise.resolve([
              ...theirs('podman run, the host’s users', []),
              ...theirs('podman run, users of its own', ['--uidmap', MAP, '--gidmap', MAP]),
            ]),
        })
        const samples = await inTurn(context, subjects)
        return [...samples].map(([subject, times]) => ({ trial: 'userns', subject, unit: 'ms', samples: times }))
      })
    } finally {
      await podman?.close()
    }
  },
}
