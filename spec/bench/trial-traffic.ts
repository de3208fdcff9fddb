/** What iperf3 gets through networks: between containers, from the host, and through a published port from beyond it. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Container, Runtime } from 'podling'
import type { Agent } from '../fixtures/own-network.js'
import { has, peers } from '../peers.js'
import { LIBRARIES } from './answers.js'
import { Beyond } from './beyond.js'
import { Podman } from './peers.js'
import { IMAGE, openRuntime, repeat } from './podling.js'
import { gather, inTurn, type Context, type Subject, type Trial } from './trial.js'

const run = promisify(execFile)
const PORT = 5201
/** Runs of a second each. */
const MOST = 20
const SERVER = ['/usr/bin/iperf3', '--server']
const IDLE = ['/bin/sleep', '1000000']

function client(address: string, port = PORT): string[] {
  return ['--client', address, '--port', String(port), '--time', '1', '--json']
}

/** Gigabits a second that arrived. */
export function received(report: string): number | undefined {
  try {
    const { end } = JSON.parse(report) as { end: { sum_received?: { bits_per_second: number } } }
    return end.sum_received === undefined ? undefined : end.sum_received.bits_per_second / 1e9
  } catch {
    return undefined
  }
}

/** A server that has just ended one run may call itself busy for a moment. */
async function patiently(measure: () => Promise<string>): Promise<number> {
  for (let tries = 0; ; tries++) {
    const report = await measure().catch((error: unknown) => String(error))
    const gigabits = received(report)
    if (gigabits !== undefined) return gigabits
    if (tries === 10) throw new Error(`iperf3: ${report}`)
    await sleep(50)
  }
}

/** @param measure one run, to iperf3's report */
function subject(name: string, measure: () => Promise<string>, close?: () => Promise<void>): Subject {
  return {
    name,
    most: MOST,
    sample: async (count) => ({ [name]: await repeat(count, () => patiently(measure)) }),
    ...(close === undefined ? {} : { close }),
  }
}

async function fromHost(address: string): Promise<string> {
  const { stdout } = await run('iperf3', client(address))
  return stdout
}

function published(beyond: Agent, port: number): Promise<string> {
  return beyond.run('iperf3', ...client(Beyond.host, port))
}

function serve(runtime: Runtime, network: string): Promise<Container> {
  return runtime.run({
    image: IMAGE,
    command: SERVER,
    network,
    volumes: LIBRARIES,
    ports: [PORT],
    ready: { port: PORT },
  })
}

async function podling({ workspace, say }: Context, beyond: Agent): Promise<Subject[]> {
  const { runtime, dispose } = await openRuntime(workspace.directory, workspace.tar)
  const subjects: Subject[] = []
  try {
    const server = await serve(runtime, 'bridge')
    const other = await runtime.run({ image: IMAGE, command: IDLE, network: 'bridge', volumes: LIBRARIES })
    const address = server.networks[0]?.addresses[0]?.split('/')[0] ?? ''
    const ask = async (): Promise<string> => (await other.exec(['/usr/bin/iperf3', ...client(address)])).stdout
    subjects.push(
      subject('podling, between containers', ask, dispose),
      subject('podling, host to container', () => fromHost(address)),
      subject('podling, published port', () => published(beyond, server.ports[0]?.host ?? 0)),
    )
    for (const network of ['pasta', 'slirp4netns']) {
      try {
        const { ports } = await serve(runtime, network)
        subjects.push(subject(`podling with ${network}, published port`, () => published(beyond, ports[0]?.host ?? 0)))
      } catch (error) {
        say(`${network} failed: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    return subjects
  } catch (error) {
    await dispose()
    throw error
  }
}

async function podman({ workspace }: Context, beyond: Agent): Promise<Subject[]> {
  const podman = await Podman.make(workspace)
  if (podman === undefined) return []
  await podman.makeNetwork()
  const volumes = LIBRARIES.flatMap((volume) => ['--volume', volume])
  const start = (...argv: string[]): Promise<string> =>
    podman.call('run', '--detach', ...podman.containerFlags('bridge'), ...volumes, ...argv)
  const server = await start('--publish', `${String(PORT)}:${String(PORT)}`, podman.image, ...SERVER)
  const other = await start(podman.image, ...IDLE)
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  const address = await podman.call('inspect', '--format', format, server)
  return [
    subject(
      'podman, between containers',
      () => podman.call('exec', other, '/usr/bin/iperf3', ...client(address)),
      () => podman.close(),
    ),
    subject('podman, host to container', () => fromHost(address)),
    subject('podman, published port', () => published(beyond, PORT)),
  ]
}

export const traffic: Trial = {
  name: 'traffic',
  about: 'throughput by iperf3: between two containers, host to container, and a published port from another machine',
  own: false,
  async run(context) {
    if (!has('iperf3')) throw new Error(`it needs Debian's ${peers.iperf3.package}`)
    await using beyond = await Beyond.make()
    const makers = {
      podling: (context: Context) => podling(context, beyond.agent),
      podman: (context: Context) => podman(context, beyond.agent),
    }
    const samples = await inTurn(context, await gather(context, makers))
    const aims: Readonly<Record<string, string>> = {
      'podling, between containers': "at least podman's",
      'podling, host to container': "at least podman's",
      'podling with pasta, published port': 'at least 2',
      'podling with slirp4netns, published port': 'at least 0.5',
    }
    return [...samples].map(([name, values]) => ({
      trial: 'traffic',
      subject: name,
      unit: 'Gbit/s',
      samples: values,
      ...(aims[name] === undefined ? {} : { aim: aims[name] }),
    }))
  },
}
