/** What comes over the pipes of a terminal, whenever anybody listens. */
import { closeSync, writeSync } from 'node:fs'
import { finished } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { detachableStreams } from '../../lib/container/terminal/streams.js'

t.test('a process that has ended before its output is listened to', async (t) => {
  const { give, stdout, read } = detachableStreams({ terminal: true, detachKeys: Buffer.alloc(0) })
  const [input = -1, output = -1] = give
  writeSync(output, 'all of it')
  for (const fd of [input, output]) closeSync(fd)
  let over = false
  void read.then(() => (over = true))
  // The pipe is read, and closed, in a few turns of the event loop.
  for (let turns = 0; turns < 100; turns++) await turn()
  t.notOk(over, 'nobody has it yet')
  let heard = ''
  stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()))
  await read
  t.equal(heard, 'all of it')
})

t.test('one that is let go of', async (t) => {
  const { give, stdout, read, detach } = detachableStreams({ terminal: true, detachKeys: Buffer.alloc(0) })
  t.teardown(() => {
    for (const fd of give) closeSync(fd)
  })
  stdout.resume()
  detach()
  await finished(stdout)
  await read
  t.ok(stdout.readableEnded)
})
