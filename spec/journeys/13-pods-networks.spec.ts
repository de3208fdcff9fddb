/** The network of a pod: its ports, its name, and that all of it is given back. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import type { Container, ContainerOptions, Pod } from 'podling'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { within } from '../fixtures/leftovers.js'
import { needs } from '../peers.js'

if (inOwnNetwork(import.meta.url)) {
  const snapshot = () =>
    execFileSync('sh', ['-c', 'ip -o link | cut -d: -f2; ip -o addr; nft list ruleset'], { encoding: 'utf8' })

  t.test('pods on networks', needs('root', 'busybox', 'iproute2', 'nftables'), async (t) => {
    const before = snapshot()
    const setup = await testRuntime()
    const { runtime, image } = setup
    const run = (pod: Pod | undefined, name: string, options: Partial<ContainerOptions> = {}): Promise<Container> =>
      runtime.run({ image, command: ['sleep', '1000'], name, ...(pod === undefined ? {} : { pod }), ...options })
    const site = 'mkdir -p /site; echo hello >/site/index.html; exec httpd -f -p 80 -h /site'
    const server = { command: ['sh', '-c', site], ready: { http: '/', port: 80 } } as const
    await runtime.networks.create({ name: 'back' })

    await t.test('ports and names belong to the pod, whichever of its containers answers', async (t) => {
      await using pod = await runtime.pods.create({
        name: 'site',
        ports: ['127.0.0.1:8080:80'],
        networkAliases: ['www'],
      })
      t.strictSame(pod.ports, [], 'while it runs')
      const web = await run(pod, 'web', server)
      t.strictSame(pod.ports, [{ container: 80, protocol: 'tcp', ip: '127.0.0.1', host: 8080 }])
      t.strictSame(web.ports, pod.ports)
      t.strictSame(web.networks, pod.networks)
      t.equal(await (await fetch('http://127.0.0.1:8080/')).text(), 'hello\n')
      const inside = await run(pod, 'inside')
      const outside = await run(undefined, 'outside')
      for (const [from, name] of [
        [inside, '127.0.0.1'],
        [inside, 'site'],
        [outside, 'site'],
        [outside, 'www'],
      ] as const) {
        // prettier-ignore
        const { stdout, stderr } = await from.exec(['wget', '-q', '-O', '-', `http://${name}/`])
        t.equal(stdout + stderr, 'hello\n', `${from.name} asks ${name}`)
      }
      await outside.remove({ force: true })

      await t.test('it can be put on a further network while it runs', async (t) => {
        await runtime.networks.connect('back', 'site')
        const far = await run(undefined, 'far', { network: 'back' })
        t.equal((await far.exec(['wget', '-q', '-O', '-', 'http://site/'])).stdout, 'hello\n')
        await far.remove({ force: true })
      })

      await t.test('its holder killed, it has no network until it is restarted', async (t) => {
        process.kill(pod.inspect().pid ?? 0, 'SIGKILL')
        await within(
          5000,
          async () => pod.status,
          (status) => status === 'degraded',
        )
        t.strictSame([pod.ports, web.status], [[], 'running'])
        await t.rejects(fetch('http://127.0.0.1:8080/'))
        await pod.restart({ timeout: 0 })
        await within(
          5000,
          () => fetch('http://127.0.0.1:8080/').catch(() => undefined),
          (answer) => answer?.ok === true,
        )
        t.equal(await (await fetch('http://127.0.0.1:8080/')).text(), 'hello\n')
      })
    })

    await t.test('a port that is taken, and what comes of the pod', async (t) => {
      await using first = await runtime.pods.create({ ports: [{ container: 80, host: 8080 }] })
      await run(first, 'first')
      await using second = await runtime.pods.create({ ports: [{ container: 80, host: 8080 }] })
      await t.rejects(run(second, 'second'), { code: 'PORT_IN_USE' })
      t.strictSame([second.status, second.containers.length], ['created', 0])
    })

    await t.test("one on the host's network shares the rest", async (t) => {
      await using pod = await runtime.pods.create({ network: 'host', name: 'hosted' })
      const one = await run(pod, 'one')
      t.equal((await one.exec(['hostname'])).stdout, 'hosted\n')
      t.match((await one.exec(['ip', '-o', 'link'])).stdout, /podling/, 'sees the bridges of the host')
    })

    await runtime.networks.remove('back')
    await setup[Symbol.asyncDispose]()
    t.equal(snapshot(), before, 'all is given back')
  })
}
