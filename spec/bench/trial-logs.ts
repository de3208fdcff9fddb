/** A hundred megabytes of lines out of a container into its log, and a follower who reads them all. */
import { link, mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Podman } from './peers.js'
import { IMAGE, withRuntime } from './podling.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'

const LINES = 1_000_000
/** With its newline. */
const LINE_BYTES = 100
const MEGABYTES = (LINES * LINE_BYTES) / 1e6

/** The lines are made first, so that what is measured is the log. */
const SCRIPT = 'while [ ! -e /sync/go ]; do sleep 0.002; done; cat /sync/lines'

/** A directory that a container sees as /sync, with the lines in it. */
async function makeLines({ workspace }: Context): Promise<string> {
  const directory = join(workspace.directory, 'log-lines')
  await mkdir(directory, { recursive: true })
  const line = `${'0123456789'.repeat(LINE_BYTES).slice(0, LINE_BYTES - 1)}\n`
  await writeFile(join(directory, 'lines'), line.repeat(LINES))
  return directory
}

/** The word to begin. @returns a directory of this run with links to the lines, and how to give it */
async function starter(lines: string): Promise<{ directory: string; go: () => Promise<void> }> {
  const directory = await mkdtemp(`${lines}-`)
  await link(join(lines, 'lines'), join(directory, 'lines'))
  return { directory, go: () => writeFile(join(directory, 'go'), '') }
}

function podling({ workspace }: Context, lines: string, logDriver: 'k8s-file' | 'json-file'): Subject {
  const name = `podling, ${logDriver}`
  return {
    name,
    sample: (count) =>
      withRuntime(workspace, async (runtime) => {
        const written: number[] = []
        const followed: number[] = []
        for (let i = 0; i < count; i++) {
          const { directory, go } = await starter(lines)
          await using container = await runtime.run({
            ...{ image: IMAGE, command: ['sh', '-c', SCRIPT], network: 'none', logDriver },
            volumes: [`${directory}:/sync`],
          })
          await go()
          const start = performance.now()
          const ended = container.wait().then(() => performance.now() - start)
          let seen = 0
          for await (const { text } of container.logs({ follow: true })) if (text.length === LINE_BYTES - 1) seen++
          followed.push(performance.now() - start)
          written.push(await ended)
          if (seen !== LINES) throw new Error(`${String(seen)} lines were seen of ${String(LINES)}`)
        }
        return { [`${name}, written`]: written.map(rate), [`${name}, followed`]: followed.map(rate) }
      }),
  }
}

async function podman(context: Context, lines: string): Promise<Subject[]> {
  const podman = await Podman.make(context.workspace)
  if (podman === undefined) return []
  return [
    {
      name: 'podman, k8s-file',
      most: 3,
      async sample(count) {
        const written: number[] = []
        for (let i = 0; i < count; i++) {
          const { directory, go } = await starter(lines)
          const flags = [...podman.containerFlags('own'), '--volume', `${directory}:/sync`]
          const id = await podman.call('run', '--detach', ...flags, podman.image, 'sh', '-c', SCRIPT)
          await go()
          const start = performance.now()
          await podman.call('wait', '--interval', '5ms', id)
          written.push(performance.now() - start)
          await podman.call('rm', '--force', '--time', '0', id)
        }
        return { 'podman, k8s-file, written': written.map(rate) }
      },
      close: () => podman.close(),
    },
  ]
}

function rate(milliseconds: number): number {
  return (MEGABYTES * 1000) / milliseconds
}

export const logs: Trial = {
  name: 'logs',
  about: `a container writes ${String(MEGABYTES)} MB of lines to its log, which somebody follows`,
  own: false,
  async run(context) {
    const lines = await makeLines(context)
    const subjects = await gather(context, {
      podling: (one) => Promise.resolve([podling(one, lines, 'k8s-file'), podling(one, lines, 'json-file')]),
      podman: (one) => podman(one, lines),
    })
    const samples = await inTurn({ ...context, runs: Math.max(3, Math.ceil(context.runs / 10)) }, subjects, 3)
    return [...samples].map(([subject, values]) => ({
      trial: 'logs',
      subject,
      unit: 'MB/s',
      samples: values,
      ...(subject.startsWith('podling') ? { aim: subject.endsWith('written') ? 'at least 300' : 'every line' } : {}),
    }))
  },
}
