/** kill -9 of a host before each of its messages to the kernel's network: the next open leaves the network as it was. */
import t from 'tap'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Runtime } from '../../lib/runtime.js'
import { settledLeftovers } from '../fixtures/leftovers.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const program = fileURLToPath(new URL('../fixtures/network-host.js', import.meta.url))
/** Each in a network namespace and on a root of its own: a host by itself makes and removes all that there is. */
const LANES = 3

/** Links, addresses, routes and rules, by other programs than ours. */
function snapshot(): string {
  const ip = (...args: string[]) => execFileSync('ip', ['-j', ...args], { encoding: 'utf8' })
  const nft = execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8' })
  return [ip('link'), ip('addr'), ip('route'), ip('-6', 'route'), nft].join('\n')
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return code === 0 ? said.trim() : (signal ?? `ended with ${String(code)}`)
}

/** What is said of containers, on every network. */
function namesIn(directory: string): string[] {
  return readdirSync(directory).flatMap((network) => readdirSync(`${directory}/${network}`))
}

interface Report {
  readonly last: number
  /** The signal that ended the host. */
  readonly end: string
  /** What was there afterwards that was not before. */
  readonly left: readonly unknown[]
}

/** Every third message. @returns what came of each, and of a host that comes through */
async function lane(first: number): Promise<{ whole: string; reports: Report[] }> {
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  const before = snapshot()
  await using setup = await testRuntime()
  const { root, runtime } = setup
  await runtime.networks.create({ name: 'one', subnets: ['10.70.0.0/24', 'fd70::/64'] })
  await runtime.networks.create({ name: 'two', internal: true })
  await runtime.networks.create({ name: 'three', subnets: ['10.71.0.0/24'] })
  await runtime.close()
  const whole = await run(process.execPath, [program, root, '0'])
  const reports: Report[] = []
  for (let last = first; last <= Number(whole); last += LANES) {
    const end = await run(process.execPath, [program, root, String(last)])
    const { processes, cgroups, mounts } = await settledLeftovers(root, root)
    const next = await Runtime.open({ root })
    const containers = (await next.containers.list()).map(({ name }) => name)
    await next.close()
    const after = snapshot()
    const left = [...processes, ...cgroups, ...mounts, ...containers, ...namesIn(`${root}/run/names`)]
    reports.push({ last, end, left: [...left, ...(after === before ? [] : [after])] })
  }
  return { whole, reports }
}

if (process.argv[2] === 'lane') {
  process.stdout.write(JSON.stringify(await lane(Number(process.argv[3]))))
} else {
  t.test('nothing is left', needs('root', 'busybox', 'iproute2', 'nftables'), async (t) => {
    const file = fileURLToPath(import.meta.url)
    const lanes = Array.from({ length: LANES }, (_, index) =>
      run('unshare', ['--net', process.execPath, file, 'lane', String(index + 1)]),
    )
    for (const said of await Promise.all(lanes)) {
      const { whole, reports } = JSON.parse(said) as { whole: string; reports: Report[] }
      t.ok(Number(whole) > 50, `a host that comes through sends ${whole} messages`)
      t.equal(reports.length, Math.ceil((Number(whole) - (reports[0]?.last ?? 0) + 1) / LANES))
      for (const { last, end, left } of reports)
        t.same({ end, left }, { end: 'SIGKILL', left: [] }, `message ${String(last)}`)
    }
  })
}
