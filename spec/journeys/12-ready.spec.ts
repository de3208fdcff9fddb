/** `ready`: what run() waits for before it resolves, and how it ends when that never comes. */
import { createServer } from 'node:http'
import t from 'tap'
import type { ContainerOptions } from 'podling'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

const tools = needs('root', 'iproute2', 'nftables')

/** Serves /www; /www/health comes only after a while. */
const website = 'mkdir /www; httpd -p 80 -h /www; sleep 0.3; echo fine >/www/health; echo is up; exec sleep 1000'

if (inOwnNetwork(import.meta.url)) {
  t.test('ready', tools, async (t) => {
    const setup = await testRuntime()
    const { runtime, image } = setup
    const shell = (script: string, options: Partial<ContainerOptions>): ContainerOptions => ({
      image,
      command: ['sh', '-c', script],
      ...options,
    })
    const nothingIsLeft = async () => {
      t.strictSame(await runtime.containers.list(), [], 'nothing is left of it')
    }

    await t.test('a port: what listens inside counts, not what holds the published port', async (t) => {
      await using web = await runtime.run(
        shell('sleep 0.3; touch /open; exec httpd -f -p 80', { ports: [80], ready: { port: 80 } }),
      )
      t.equal((await web.exec(['ls', '/open'])).exitCode, 0)
      const [published] = web.ports
      t.equal((await fetch(`http://127.0.0.1:${String(published?.host)}/`)).status, 404, 'the host reaches it')
    })

    await t.test('an HTTP answer', async (t) => {
      await using web = await runtime.run(shell(website, { ready: { http: '/health', port: 80 } }))
      t.equal((await web.exec(['ls', '/www/health'])).exitCode, 0, 'not the 404 before it')
      await using other = await runtime.run(shell(website, { ready: { http: '/never', port: 80, status: 404 } }))
      t.equal(other.status, 'running')
    })

    await t.test('a log line, a command, and all of them', async (t) => {
      const ready: ContainerOptions['ready'] = [
        { port: 80 },
        { http: '/health', port: 80 },
        { log: /^is up$/ },
        { command: ['test', '-e', '/last'] },
      ]
      await using web = await runtime.run(shell(website.replace('exec', 'sleep 0.2; touch /last; exec'), { ready }))
      t.equal((await web.exec(['ls', '/last'])).exitCode, 0, 'the last of them was waited for')
    })

    await t.test('it never comes', async (t) => {
      const silent = shell('echo so far; echo so good >&2; exec sleep 1000', { network: 'none' })
      for (const [condition, words] of [
        [{ port: 81 }, /port 81/],
        [{ log: /ready/ }, /ready/],
        [{ command: ['false'] }, /false/],
      ] as const) {
        await t.rejects(runtime.run({ ...silent, ready: { ...condition, timeout: 400 } }), {
          code: 'READY_TIMEOUT',
          message: words,
        })
        await nothingIsLeft()
      }
      await t.rejects(runtime.run({ ...silent, ready: { port: 81, timeout: '2.5s' } }), {
        message: /not within 2500 ms.*so far.*so good/s,
      })
      await t.rejects(runtime.run(shell(website, { ready: { http: '/never', port: 80, timeout: 800 } })), {
        code: 'READY_TIMEOUT',
        message: /\/never/,
      })
      await nothingIsLeft()
    })

    await t.test('it ends first', async (t) => {
      const failing = shell('echo reading the settings; echo no such file >&2; exit 3', { network: 'none' })
      for (const ready of [{ port: 80 }, { log: /up/ }, { command: ['false'] }]) {
        await t.rejects(runtime.run({ ...failing, ready }), {
          code: 'EXITED_BEFORE_READY',
          message: /3.*reading the settings.*no such file/s,
        })
        await nothingIsLeft()
      }
    })

    await t.test('the caller gives up', async (t) => {
      const waiting = shell('exec sleep 1000', { network: 'none', ready: { port: 80 } })
      await t.rejects(runtime.run(waiting, { signal: AbortSignal.timeout(300) }), {
        code: 'ABORTED',
      })
      await nothingIsLeft()
    })

    await t.test("on the host's network another program's listener is not the container's", async (t) => {
      const program = createServer((_, response) => response.end())
      await new Promise<void>((resolve) => program.listen(6001, resolve))
      const other = shell('exec sleep 1000', { network: 'host', ready: { port: 6001, timeout: 400 } })
      await t.rejects(runtime.run(other), { code: 'READY_TIMEOUT' })
      program.close()
      await using own = await runtime.run(shell('exec httpd -f -p 6001', { network: 'host', ready: { port: 6001 } }))
      t.equal(own.status, 'running')
    })

    await setup[Symbol.asyncDispose]()
  })
}
