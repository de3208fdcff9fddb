/** Another machine, as the benchmark's host sees it: a network namespace at the far end of the host's uplink. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { startAgent, type Agent } from '../fixtures/own-network.js'

const run = promisify(execFile)
const ip = (...argv: string[]) => run('ip', argv)

export class Beyond implements AsyncDisposable {
  /** The host's address, as it is known there. */
  static readonly host = '192.0.2.1'
  /** A process there. */
  readonly agent: Agent

  private constructor(agent: Agent) {
    this.agent = agent
  }

  static async make(): Promise<Beyond> {
    const agent = await startAgent({ teardown: () => undefined })
    const there = '192.0.2.2'
    await ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(agent.pid))
    await ip('addr', 'add', `${Beyond.host}/24`, 'dev', 'uplink')
    await ip('link', 'set', 'uplink', 'up')
    // The user-mode networks take after the link that has the default route.
    await ip('route', 'add', 'default', 'via', there)
    await agent.run('ip', 'addr', 'add', `${there}/24`, 'dev', 'eth0')
    await agent.run('ip', 'link', 'set', 'eth0', 'up')
    return new Beyond(agent)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ip('link', 'delete', 'uplink')
    await this.agent.end()
  }
}
