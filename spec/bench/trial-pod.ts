/** A pod of two containers, from nothing to running and back to nothing; beside Podman's, whose pods need an infra image. */
import { IMAGE, repeat, withRuntime } from './podling.js'
import { Podman } from './peers.js'
import type { Row } from './table.js'
import { gather, inTurn, type Subject, type Trial } from './trial.js'

const SLEEP = ['/bin/sleep', '1000000'] as const
const ROWS = ['create and start', 'remove'] as const

function subject(name: string, make: () => Promise<() => Promise<void>>, most?: number): Subject {
  const sample = async (): Promise<readonly [number, number]> => {
    const start = performance.now()
    const remove = await make()
    const made = performance.now()
    await remove()
    return [made - start, performance.now() - made]
  }
  return {
    name,
    ...(most === undefined ? {} : { most }),
    async sample(count) {
      const times = await repeat(count, sample)
      return Object.fromEntries(ROWS.map((row, i) => [`${name}, ${row}`, times.map((pair) => pair[i] ?? 0)]))
    },
  }
}

function podmanPod(podman: Podman): Subject {
  let count = 0
  return subject(
    'podman',
    async () => {
      const name = `bench-${String(count++)}`
      const infra = ['--infra-image', podman.image, '--infra-command', SLEEP.join(' ')]
      await podman.call('pod', 'create', '--name', name, ...infra, ...podman.containerFlags('own'))
      for (let i = 0; i < 2; i++) await podman.call('run', '--detach', '--pod', name, podman.image, ...SLEEP)
      return async () => {
        await podman.call('pod', 'rm', '--force', '--time', '0', name)
      }
    },
    10,
  )
}

export const pod: Trial = {
  name: 'pod',
  about: 'a pod of two containers without a network: create and start it, and remove it',
  own: false,
  async run(context) {
    const podman = context.wants('podman') ? await Podman.make(context.workspace) : undefined
    try {
      return await withRuntime(context.workspace, async (runtime): Promise<Row[]> => {
        const subjects = await gather(context, {
          podling: () =>
            Promise.resolve([
              subject('podling', async () => {
                const made = await runtime.pods.create({ network: 'none' })
                for (let i = 0; i < 2; i++) await runtime.run({ image: IMAGE, pod: made.id, command: SLEEP })
                return () => made.remove({ force: true })
              }),
            ]),
          podman: () => Promise.resolve(podman === undefined ? [] : [podmanPod(podman)]),
        })
        const samples = await inTurn(context, subjects)
        return [...samples].map(([row, times]) => ({ trial: 'pod', subject: row, unit: 'ms', samples: times }))
      })
    } finally {
      await podman?.close()
    }
  },
}
