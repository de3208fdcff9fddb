/** The network `pasta` (passt(1)): the container has the host's own addresses, and no NAT between. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { PodlingError } from '../errors.js'
import type { BoundPort } from './attachment.js'
import {
  findProgram,
  lookForProgram,
  tapError,
  withFreePorts,
  type UserModeFacts,
  type UserModeNetwork,
  type UserModeRequest,
} from './user-mode.js'

/** An address that nobody has (RFC 3927); pasta takes what is sent there for questions to the host's resolver. */
export const pastaFacts: UserModeFacts = { resolver: '169.254.1.1' }

/** Another one, Podman's for this, which pasta takes for the host's own address. */
const hostAddress = '169.254.1.2'
const mapHost = '--map-guest-addr'

const mappers = new Map<string, Promise<boolean>>()

/** @returns undefined where there is no pasta, or one from before passt 2024_08_14, which has no address for the host */
export async function gatewayOfPasta(directories?: readonly string[]): Promise<string | undefined> {
  const program = lookForProgram('pasta', directories)
  return program !== undefined && (await mapsHost(program)) ? hostAddress : undefined
}

/** Asked once: a program that is replaced meanwhile is not replaced by an older one. */
async function mapsHost(program: string): Promise<boolean> {
  const known = mappers.get(program) ?? says(program, ['--help'], mapHost)
  mappers.set(program, known)
  return await known
}

function says(program: string, args: string[], word: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd: '/', env: {} }, (_, ...texts) => {
      resolve(texts.join('').includes(word))
    })
  })
}

/** native/attend.h has it too. */
const attendedNetns = '/tmp/netns'

/**
 * Run pasta for a container. Resolves when the network works.
 * @throws PodlingError `NETWORK_PROGRAM_NOT_FOUND`, `NETWORK_PROGRAM_FAILED` with what it said, `PORT_IN_USE`, `INVALID_OPTION`,
 * `PERMISSION_DENIED`
 */
export async function startPasta(request: UserModeRequest): Promise<UserModeNetwork> {
  const program = findProgram('pasta', 'passt', request.programs)
  const options = request.hostGateway && (await mapsHost(program)) ? [mapHost, hostAddress] : []
  return withFreePorts(request.ports, 'pasta', (ports) => run(program, request, [...pastaArguments(ports), ...options]))
}

async function run(
  program: string,
  { netns, lifetime, helper }: UserModeRequest,
  args: readonly string[],
): Promise<void> {
  const namespace = openSync(netns, 'r')
  let child
  try {
    child = spawn(helper, ['attend', program, ...args], {
      cwd: '/',
      env: {},
      stdio: ['ignore', 'ignore', 'pipe', lifetime, namespace],
    })
  } finally {
    closeSync(namespace)
  }
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw pastaError(said)
}

export function pastaArguments(ports: readonly BoundPort[]): string[] {
  const forwards = (protocol: 'tcp' | 'udp', option: string) => {
    const some = ports.filter((port) => port.protocol === protocol)
    // `none` is what it says only where nothing is published.
    if (some.length === 0) return [option, 'none']
    return some.flatMap(({ ip, host, container }) => [
      option,
      `${ip === '0.0.0.0' ? '' : `${ip}/`}${String(host)}:${String(container)}`,
    ])
  }
  return [
    '--quiet',
    '--config-net',
    '--netns-only',
    // As nobody, which it would become, it could not enter a network namespace of root's. It gives up its capabilities.
    '--runas',
    '0:0',
    '--netns',
    attendedNetns,
    '--no-map-gw',
    '--dns-forward',
    pastaFacts.resolver,
    ...forwards('tcp', '--tcp-ports'),
    ...forwards('udp', '--udp-ports'),
    // Ports of the host's loopback are not for the container.
    '--tcp-ns',
    'none',
    '--udp-ns',
    'none',
  ]
}

function pastaError(said: string): PodlingError {
  const text = said
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('Started as root'))
    .join('; ')
  const taken = /Failed to bind port (\d+) \(Address already in use\)/.exec(said)
  if (taken !== null) {
    return new PodlingError(
      'PORT_IN_USE',
      `publish port ${taken[1] ?? ''} by pasta: another program uses it; stop that one or choose another port`,
    )
  }
  const noTap = tapError('pasta', said)
  if (noTap !== undefined) return noTap
  return new PodlingError('NETWORK_PROGRAM_FAILED', `start pasta: ${text === '' ? 'it ended without a word' : text}`)
}
