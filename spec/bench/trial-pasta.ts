/**
 * The network of an ordinary user, pasta, beside that of his podman: a start on it, a start until a published port is answered,
 * and what iperf3 gets through the port from the host.
 */
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { has, peers } from '../peers.js'
import { ANSWERS, LIBRARIES, untilAnswered } from './answers.js'
import { Beyond } from './beyond.js'
import { command } from './peers.js'
import { repeat } from './podling.js'
import { received } from './trial-traffic.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'
import { Place, startHost, userPodman } from './user-place.js'

const run = promisify(execFile)
const SERVER = ['/usr/bin/iperf3', '--server']
const PORT = 5201
/** Runs of a second each, and of a slow start. */
const MOST = 10

const rates = 'host to a published port'
const rows = (who: string) => ({
  start: `${who}, start on pasta`,
  published: `${who}, until a published port answers`,
  throughput: `${who}, ${rates}`,
})

async function throughput(port: number): Promise<number> {
  const { stdout } = await run('iperf3', ['--client', '127.0.0.1', '--port', String(port), '--time', '1', '--json'])
  const gigabits = received(stdout)
  if (gigabits === undefined) throw new Error(`iperf3: ${stdout}`)
  return gigabits
}

async function podling(place: Place): Promise<Subject[]> {
  const host = await startHost(place)
  const name = rows('podling')
  const ask = async (what: string, count: number): Promise<number[]> =>
    (await host.ask(`${what} ${String(count)}`)) as number[]
  const port = (await host.ask(`serve ${SERVER.join(' ')}`)) as number
  return [
    {
      name: name.start,
      sample: async (count) => ({ [name.start]: await ask('pasta', count) }),
      close: () => host.close(),
    },
    { name: name.published, sample: async (count) => ({ [name.published]: await ask('published', count) }) },
    {
      name: name.throughput,
      most: MOST,
      sample: async (count) => ({ [name.throughput]: await repeat(count, () => throughput(port)) }),
    },
  ]
}

async function podman(place: Place, { workspace }: Context): Promise<Subject[]> {
  const podman = await userPodman(place)
  if (podman === undefined) return []
  const name = rows('podman')
  const { argv, env, image, call, close } = podman
  const common = ['--network', 'pasta', '--log-driver', 'none']
  const volumes = LIBRARIES.flatMap((volume) => ['--volume', volume])
  await call('run', '--detach', ...common, ...volumes, '--publish', `${String(PORT)}:${String(PORT)}`, image, ...SERVER)
  const timePublished = async (): Promise<number> => {
    const start = performance.now()
    await call('run', '--detach', '--name', 'answers', ...common, '--publish', '8080:80', image, ...ANSWERS)
    await untilAnswered(8080)
    const time = performance.now() - start
    await call('rm', '--force', '--time', '0', 'answers')
    return time
  }
  return [
    command(workspace, name.start, [...argv, 'run', '--rm', ...common, image, '/bin/true'], { most: MOST, env, close }),
    {
      name: name.published,
      most: MOST,
      sample: async (count) => ({ [name.published]: await repeat(count, timePublished) }),
    },
    {
      name: name.throughput,
      most: MOST,
      sample: async (count) => ({ [name.throughput]: await repeat(count, () => throughput(PORT)) }),
    },
  ]
}

/** As udev has it on a host: open to every user. In this process's own mount namespace. */
function openTap(): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/dev/net'])
  execFileSync('mknod', ['-m', '666', '/dev/net/tun', 'c', '10', '200'])
}

export const pasta: Trial = {
  name: 'pasta',
  about:
    "an ordinary user's pasta beside his podman's: a start, a start until a published port answers, and throughput",
  own: false,
  async run(context) {
    for (const peer of ['passt', 'iperf3'] as const)
      if (!has(peer)) throw new Error(`it needs Debian's ${peers[peer].package}`)
    await using _beyond = await Beyond.make()
    openTap()
    const place = new Place(context.workspace)
    try {
      const subjects = await gather(context, {
        podling: () => podling(place),
        podman: () => podman(place, context),
      })
      const samples = await inTurn(context, subjects)
      return [...samples].map(([subject, values]) => ({
        trial: 'pasta',
        subject,
        unit: subject.endsWith(rates) ? 'Gbit/s' : 'ms',
        samples: values,
        ...(subject.startsWith('podling')
          ? { aim: subject.endsWith(rates) ? "at least podman's" : "at most podman's" }
          : {}),
      }))
    } finally {
      place.close()
      execFileSync('umount', ['/dev/net'])
    }
  },
}
