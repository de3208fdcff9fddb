/** The standard streams of containers that are written down and restored, by a real CRIU. */
import { constants } from 'node:fs'
import { mkdir, open, readFile, readlink, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Container } from 'podling'
import { readableBytes } from '../../lib/sys/descriptors.js'
import { testRuntime } from '../fixtures/runtime.js'
import { needs } from '../peers.js'

/** What a container has written by the time that some of it fits. */
async function logged(container: Container, pattern: RegExp): Promise<string> {
  let text = ''
  for await (const line of container.logs({ follow: true })) {
    text += `${line.text}\n`
    if (pattern.test(line.text)) break
  }
  return text
}

/** Of its pid 1, on the host. */
async function children({ pid }: Pick<Container, 'pid'>): Promise<string[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean)
}

/** How much is in the pipe that a child of pid 1 has as its descriptor 7. */
async function unread({ pid }: Container): Promise<number> {
  const [child] = await children({ pid })
  const pipe = await open(`/proc/${child}/fd/7`, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    return readableBytes(pipe.fd)
  } finally {
    await pipe.close()
  }
}

t.test('streams of checkpoints', needs('root', 'busybox', 'criu'), async (t) => {
  await t.test(
    'one reads on from its input: what was in the pipe, what is written to it now, and its end',
    async (t) => {
      await using test = await testRuntime()
      const { runtime, root } = test
      // Not pid 1 has it, and where it is its descriptor has another number.
      const reads = 'exec 7<&0 </dev/null; (while read -r line <&7; do echo "got $line"; done; echo ended; exec tail -f /dev/null) & exec 7<&-; echo ready; wait' // prettier-ignore
      const options = {
        image: 'busybox:test',
        network: 'none',
        command: ['sh', '-c', reads],
        stdin: true,
        ready: { log: /ready/ },
      }
      for (const stdinOnce of [false, true]) {
        const first = await runtime.run({ ...options, stdinOnce })
        const { stdin } = await first.attach()
        await first.pause()
        stdin.write('waiting\n')
        while ((await unread(first)) < 'waiting\n'.length) await sleep(5)
        const { path } = await first.checkpoint({ path: `${root}/input-${String(stdinOnce)}`, leaveRunning: true })
        t.equal(await unread(first), 'waiting\n'.length, 'the one that was written down has it still')
        stdin.destroy()
        const second = await runtime.containers.restore({ path })
        t.match(await logged(second, /got waiting/), /^got waiting$/m)
        const streams = await second.attach()
        streams.stdin.write('hello\n')
        t.match(await logged(second, /got hello/), /^got waiting\ngot hello$/m)
        streams.stdin.end('last\n')
        if (stdinOnce) t.match(await logged(second, /ended/), /^got last\nended$/m)
        else {
          t.match(await logged(second, /got last/), /^got last$/m)
          const again = await second.attach()
          again.stdin.write('more\n')
          t.match(await logged(second, /got more/), /^got last\ngot more$/m)
        }
        const third = await second.checkpoint({ path: `${root}/again-${String(stdinOnce)}` })
        const last = await runtime.containers.restore(third)
        t.equal(last.status, 'running')
        const late = last.attach()
        if (stdinOnce) await t.rejects(late, { code: 'INVALID_STATE', message: /standard input has ended/ })
        else {
          ;(await late).stdin.write('once more\n')
          t.match(await logged(last, /once more/), /^got once more$/m)
        }
      }
    },
  )

  await t.test(
    'one with an init has its output in the log still, passes signals on and ends as its command',
    async (t) => {
      await using test = await testRuntime()
      const { runtime, root } = test
      const command = ['sh', '-c', 'trap "exit 5" TERM; echo ready; while read -r line; do echo "got $line"; done']
      const options = {
        image: 'busybox:test',
        network: 'none',
        command,
        stdin: true,
        init: true,
        ready: { log: /ready/ },
      }
      const first = await runtime.run(options)
      const { path } = await first.checkpoint({ path: `${root}/checkpoint` })
      const second = await runtime.containers.restore({ path })
      t.equal(await readlink(`/proc/${second.pid}/exe`), '/dev/podling-init')
      ;(await second.attach()).stdin.write('hello\n')
      t.match(await logged(second, /hello/), /^got hello$/m)
      // Its own orphan is reaped by it.
      const before = await children(second)
      await second.exec(['sh', '-c', 'sleep 0 &'])
      while (String(await children(second)) !== String(before)) await sleep(5)
      t.match(await second.stop(), { exitCode: 5 })
    },
  )

  await t.test('one that ends as soon as it goes on has been restored, and has ended', async (t) => {
    await using test = await testRuntime()
    const { runtime, root } = test
    const command = ['sh', '-c', 'echo ready; while [ ! -e /shared/end ]; do :; done; exit 7']
    await mkdir(`${root}/out`)
    const volumes = [`${root}/out:/shared`]
    const first = await runtime.run({
      image: 'busybox:test',
      network: 'none',
      command,
      volumes,
      ready: { log: /ready/ },
    })
    const { path } = await first.checkpoint({ path: `${root}/checkpoint` })
    await writeFile(`${root}/out/end`, '')
    for (let i = 0; i < 4; i++) {
      const again = await runtime.containers.restore({ path })
      t.match(await again.wait(), { exitCode: 7 })
      await again.remove()
    }
  })
})
