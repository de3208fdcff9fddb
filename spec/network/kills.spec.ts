/** kill -9 of a host before each of its messages to the kernel's network: the next open leaves the network as it was. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Runtime } from '../../lib/runtime.js'
import { settledLeftovers, within } from '../fixtures/leftovers.js'
import { networkSnapshot, outcome, selfKillingHost } from '../fixtures/network-snapshot.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

/** Each in a network namespace and on a root of its own: a host by itself makes and removes all that there is. */
const LANES = 3

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
  const before = networkSnapshot()
  await using setup = await testRuntime()
  const { root, runtime } = setup
  await runtime.networks.create({ name: 'one', subnets: ['10.70.0.0/24', 'fd70::/64'] })
  await runtime.networks.create({ name: 'two', internal: true })
  await runtime.networks.create({ name: 'three', subnets: ['10.71.0.0/24'] })
  await runtime.close()
  const whole = await selfKillingHost(root, 0, 'bridges')
  const reports: Report[] = []
  for (let last = first; last <= Number(whole); last += LANES) {
    const end = await selfKillingHost(root, last, 'bridges')
    const { processes, cgroups, mounts } = await settledLeftovers(root, root)
    const next = await Runtime.open({ root })
    const containers = (await next.containers.list()).map(({ name }) => name)
    await next.close()
    // The kernel takes the links of a namespace that ended away when it comes to it.
    const after = await within(
      10_000,
      () => Promise.resolve(networkSnapshot()),
      (seen) => seen === before,
    )
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
      outcome('unshare', ['--net', process.execPath, file, 'lane', String(index + 1)]),
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
