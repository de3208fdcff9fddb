/** The metrics, as a real Prometheus sees them. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'

import { temporaryDirectory, type Teardown } from '../../fixtures/directory.js'
import { testRuntime } from '../../fixtures/runtime.js'
import { needs } from '../../peers.js'

async function scrape(url: string): Promise<string> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
  return response.text()
}

/** The value of a metric whose labels hold all that is given. */
function valueOf(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const line = text
    .split('\n')
    .find(
      (one) =>
        (one.startsWith(`${name}{`) || one.startsWith(`${name} `)) &&
        Object.entries(labels).every(([key, value]) => one.includes(`${key}="${value}"`)),
    )
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
}

t.test('metrics', needs('root', 'busybox', 'prometheus'), async (t) => {
  await t.test('what the containers of a root are and use', async (t) => {
    await using test = await testRuntime()
    const { runtime } = test
    await runtime.volumes.create({ name: 'data' })
    const busy = await runtime.run({
      image: 'busybox:test', name: 'busy', memory: '64m', network: 'none',
      health: { command: ['true'], interval: '100ms' }, ready: { healthy: true },
      command: ['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 1000'],
    }) // prettier-ignore
    const failed = await runtime.run({
      image: 'busybox:test',
      name: 'failed',
      command: ['sh', '-c', 'exit 3'],
      network: 'none',
    })
    await failed.wait()
    await busy.exec(['true'])
    await using pod = await runtime.pods.create({ name: 'group', network: 'none' })
    await runtime.run({ image: 'busybox:test', name: 'member', pod: 'group', command: ['sleep', '1000'] })
    const text = await runtime.metrics().metrics()
    const name = { id: busy.id, name: 'busy' }
    t.equal(valueOf(text, 'podling_container_info', { ...name, image: busy.image!.name }), 1)
    t.equal(valueOf(text, 'podling_container_state', name), 2)
    t.equal(valueOf(text, 'podling_container_health', name), 0)
    t.equal(valueOf(text, 'podling_container_health', { name: 'failed' }), undefined)
    t.equal(valueOf(text, 'podling_container_state', { name: 'failed' }), 5)
    t.equal(valueOf(text, 'podling_container_exit_code', { name: 'failed' }), 3)
    t.equal(valueOf(text, 'podling_container_exit_code', name), undefined, 'one that has not ended has none')
    t.equal(valueOf(text, 'podling_container_memory_limit_bytes', name), 64 << 20)
    t.ok(valueOf(text, 'podling_container_memory_usage_bytes', name)! > 0)
    t.ok(valueOf(text, 'podling_container_cpu_seconds_total', name)! > 0)
    t.ok(valueOf(text, 'podling_container_pids', name)! >= 1)
    t.equal(valueOf(text, 'podling_container_network_received_bytes_total', { ...name, interface: 'lo' }), 0)
    t.equal(valueOf(text, 'podling_container_cpu_seconds_total', { name: 'failed' }), undefined)
    t.equal(valueOf(text, 'podling_container_info', { name: 'member', pod_id: pod.id }), 1)
    t.equal(valueOf(text, 'podling_pod_info', { name: 'group', state: 'running' }), 1)
    t.equal(valueOf(text, 'podling_pods'), 1)
    t.equal(valueOf(text, 'podling_container_info', { name: 'group' }), undefined, 'what holds a pod is none')
    t.equal(valueOf(text, 'podling_containers', { state: 'running' }), 2)
    t.equal(valueOf(text, 'podling_containers', { state: 'exited' }), 1)
    t.equal(valueOf(text, 'podling_images'), 1)
    t.ok(valueOf(text, 'podling_image_size_bytes', { name: 'docker.io/library/busybox:test' })! > 100_000)
    t.equal(valueOf(text, 'podling_volume_info', { name: 'data', driver: 'local' }), 1)
    t.equal(valueOf(text, 'podling_container_start_seconds_count'), 3)
    await busy.remove({ force: true })
    const after = await runtime.metrics().metrics()
    t.equal(valueOf(after, 'podling_container_info', name), undefined, 'one that is gone is forgotten')
    t.equal(valueOf(after, 'podling_container_start_seconds_count'), 3, 'what was counted is not counted again')
  })

  await t.test('promtool has nothing to say against them', async (t) => {
    await using test = await testRuntime()
    await test.runtime.run({ image: 'busybox:test', command: ['sleep', '1000'], network: 'none' })
    const input = await test.runtime.metrics().metrics()
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' })
    t.equal(status, 0, `${stdout}${stderr}`)
    t.equal(`${stdout}${stderr}`.trim(), '')
  })

  await t.test('a real Prometheus scrapes them', async (t) => {
    await using test = await testRuntime()
    const { runtime } = test
    await using server = await runtime.serveMetrics({ port: 0 })
    t.equal(server.url, `http://127.0.0.1:${server.port}/metrics`)
    await runtime.run({ image: 'busybox:test', name: 'web', command: ['sleep', '1000'], network: 'none' })
    const ask = await prometheus(t, server.port)
    let result: readonly { metric: Record<string, string>; value: [number, string] }[] = []
    for (const deadline = Date.now() + 60_000; result.length === 0 && Date.now() < deadline;) {
      await sleep(200)
      result = await ask('podling_container_state{name="web"}')
    }
    t.match(result, [{ metric: { name: 'web', job: 'podling' }, value: [Number, '2'] }])
  })

  await t.test('the server', async (t) => {
    await using test = await testRuntime()
    const { runtime } = test
    const server = await runtime.serveMetrics({ port: 0 })
    t.match(await scrape(server.url), /^# HELP podling_container_info/)
    t.equal((await fetch(server.url.replace('/metrics', '/other'))).status, 404)
    await t.rejects(runtime.serveMetrics({ port: server.port }), {
      code: 'PORT_IN_USE',
      message: /take another port or 0/,
    })
    await t.rejects(runtime.serveMetrics({ port: 70_000 }), {
      code: 'INVALID_OPTION',
      message: /port: must be 0..65535, got 70000/,
    })
    await t.rejects(runtime.serveMetrics({ prot: 1 } as never), { message: /did you mean port/ })
    await server.close()
    await server.close()
    await t.rejects(fetch(server.url))
    const other = await runtime.serveMetrics({ port: 0 })
    await runtime.close()
    await t.rejects(fetch(other.url), { message: 'fetch failed' }, 'it ends with its runtime')
    t.throws(() => runtime.metrics(), { code: 'RUNTIME_CLOSED' })
  })
})

/** A Prometheus that scrapes a port of this machine; what comes back asks it. */
async function prometheus(
  t: Teardown,
  port: number,
): Promise<(query: string) => Promise<readonly { metric: Record<string, string>; value: [number, string] }[]>> {
  const directory = await temporaryDirectory(t)
  const own = await freePort()
  await writeFile(
    `${directory}/prometheus.yml`,
    `scrape_configs: [{ job_name: podling, scrape_interval: 1s, static_configs: [{ targets: ['127.0.0.1:${port}'] }] }]\n`,
  )
  const child: ChildProcess = spawn(
    'prometheus',
    [
      `--config.file=${directory}/prometheus.yml`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=127.0.0.1:${own}`,
    ],
    { stdio: 'ignore' },
  )
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return async (query) => {
    const response = await fetch(`http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(query)}`).catch(
      () => undefined,
    )
    if (response?.ok !== true) return []
    const { data } = (await response.json()) as {
      data: { result: { metric: Record<string, string>; value: [number, string] }[] }
    }
    return data.result
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
