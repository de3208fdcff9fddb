/** One that was lost is looked for by one process while another one starts it. */
import { readFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import t from 'tap'
import { Runtime } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'

t.test('it is not ended by the one who saw no monitor a moment before', async (t) => {
  await using test = await testRuntime()
  const { runtime, image, root } = test
  const lost = await runtime.run({ image, command: ['sleep', '1000'], network: 'none', detach: true, name: 'twice' })
  const told = new Promise((resolve) => lost.once('lost', resolve))
  const monitor = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${String(lost.pid)}/status`, 'latin1'))?.[1]
  process.kill(Number(monitor), 'SIGKILL')
  await told
  const other = await Runtime.open({ root })
  t.teardown(() => other.close())

  const { readFile } = promises
  t.teardown(() => {
    promises.readFile = readFile
    syncBuiltinESMExports()
  })
  let started = false
  // Between the look for a monitor and that for a record of the end.
  promises.readFile = (async (...args: Parameters<typeof readFile>) => {
    try {
      return await readFile(...args)
    } catch (error) {
      if (!started && (args[0] as string).endsWith('/exit')) {
        started = true
        await lost.start()
      }
      throw error
    }
  }) as typeof readFile
  syncBuiltinESMExports()
  const seen = await other.containers.get('twice')
  t.ok(started, 'it was started meanwhile')
  t.equal(seen.status, 'running')
  t.equal(lost.status, 'running')
  t.equal((await lost.exec(['true'])).exitCode, 0)
  await lost.remove({ force: true })
})
