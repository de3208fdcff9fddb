/** The network `slirp4netns` (slirp4netns(1)): a TCP/IP stack in user space, at 10.0.2.0/24. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, Socket } from 'node:net'
import { PodlingError } from '../errors.js'
import { close, pipe } from '../sys/descriptors.js'
import type { BoundPort } from './attachment.js'
import {
  findProgram,
  tapError,
  withFreePorts,
  type UserModeFacts,
  type UserModeNetwork,
  type UserModeRequest,
} from './user-mode.js'

export const slirp4netnsFacts: UserModeFacts & { readonly address: string; readonly gateway: string } = {
  resolver: '10.0.2.3',
  address: '10.0.2.100/24',
  gateway: '10.0.2.2',
}

const patience = 10_000

/**
 * Run slirp4netns for a container. Resolves when the network works and the ports are published.
 * @throws PodlingError `NETWORK_PROGRAM_NOT_FOUND`, `NETWORK_PROGRAM_FAILED` with what it said, `PORT_IN_USE`, `INVALID_OPTION`,
 * `PERMISSION_DENIED`
 */
export async function startSlirp4netns(request: UserModeRequest): Promise<UserModeNetwork> {
  const program = findProgram('slirp4netns', 'slirp4netns', request.programs)
  return withFreePorts(request.ports, 'slirp4netns', (ports) => run(program, request, ports))
}

async function run(program: string, request: UserModeRequest, ports: readonly BoundPort[]): Promise<void> {
  const { netns, lifetime, helper, directory } = request
  const socket = `${directory}/slirp4netns`
  rmSync(socket, { force: true })
  // Not a pipe: it says something with each port, and outlives this process if its container does.
  const log = `${directory}/slirp4netns.log`
  const namespace = openSync(netns, 'r')
  const stderr = openSync(log, 'w', 0o600)
  const ready = pipe()
  const child = spawn(helper, ['own', program, ...slirpArguments(netns, socket)], {
    cwd: '/',
    env: {},
    stdio: ['ignore', 'ignore', stderr, ready.write, lifetime, namespace],
    detached: true,
  })
  child.unref()
  close(ready.write)
  closeSync(namespace)
  closeSync(stderr)
  try {
    if (!(await isReady(ready.read))) throw slirpError(readFileSync(log, 'utf8'))
    for (const port of ports) await publish(socket, port)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
}

/** It writes a byte when it is ready; the end comes first when it died. */
async function isReady(fd: number): Promise<boolean> {
  const stream = new Socket({ fd, readable: true, writable: false })
  const timer = setTimeout(() => stream.destroy(), patience)
  try {
    for await (const _ of stream) return true
    return false
  } catch {
    // Its patience was over.
    return false
  } finally {
    clearTimeout(timer)
    stream.destroy()
  }
}

/** One request of its API: JSON there, JSON back, and the end. */
async function publish(socket: string, port: BoundPort): Promise<void> {
  const { protocol, ip, host, container } = port
  const request = {
    execute: 'add_hostfwd',
    arguments: {
      proto: protocol,
      host_addr: ip === '::' ? '0.0.0.0' : ip,
      host_port: host,
      guest_addr: slirp4netnsFacts.address.split('/')[0],
      guest_port: container,
    },
  }
  const connection = connect(socket)
  connection.setTimeout(patience, () => connection.destroy(new Error('no answer')))
  let answer = ''
  try {
    connection.end(JSON.stringify(request))
    for await (const chunk of connection) answer += String(chunk)
  } catch (error) {
    throw new PodlingError(
      'NETWORK_PROGRAM_FAILED',
      `publish port ${String(host)} by slirp4netns: it gives no answer`,
      {
        cause: error,
      },
    )
  }
  const failure = /"desc":\s*"([^"]*)"/.exec(answer)
  if (failure === null) return
  const what = `publish port ${String(host)}/${protocol} at ${ip} by slirp4netns`
  // The port was free a moment ago, and it doesn't say why it couldn't bind it.
  if ((failure[1] ?? '').includes('slirp_add_hostfwd failed')) {
    throw new PodlingError('PORT_IN_USE', `${what}: another program uses it; stop that one or choose another port`)
  }
  throw new PodlingError('NETWORK_PROGRAM_FAILED', `${what}: ${failure[1] ?? ''}`)
}

/** Pure. Descriptor 3 is where it says that it is ready, 4 the one with whose end it ends. */
export function slirpArguments(netns: string, socket: string): string[] {
  return [
    '--configure',
    '--mtu=65520',
    '--disable-host-loopback',
    '--enable-sandbox',
    '--enable-seccomp',
    '--ready-fd=3',
    '--exit-fd=4',
    `--api-socket=${socket}`,
    '--netns-type=path',
    netns,
    'tap0',
  ]
}

function slirpError(said: string): PodlingError {
  const noTap = tapError('slirp4netns', said)
  if (noTap !== undefined) return noTap
  const lines = said.split('\n').filter((line) => line !== '' && !line.startsWith('WARNING'))
  // Behind a mistake it prints its usage.
  const usage = lines.findIndex((line) => line.startsWith('Usage:'))
  const text = (usage < 0 ? lines : lines.slice(0, usage)).join('; ')
  return new PodlingError(
    'NETWORK_PROGRAM_FAILED',
    `start slirp4netns: ${text === '' ? 'it gives no sign of life' : text}`,
  )
}
