/**
 * A process that starts containers, by whichever user it is run: ROOT, RUN_ROOT and TAR say with what. A line of its input says
 * what it is to measure, and how often; the milliseconds come back as a line of JSON.
 *
 * - `start N`: to the end of a command without a network; `pasta N`: on one by pasta
 * - `published N`: until a port is answered that pasta publishes
 * - `serve COMMAND...`: nothing; a container stays that has the host's programs, and its port 5201 comes back
 */
import { createInterface } from 'node:readline'
import { Runtime } from 'podling'
import { ANSWERS, LIBRARIES, untilAnswered } from './answers.js'
import { IMAGE, repeat, timeRun } from './podling.js'

const { ROOT: root = '', RUN_ROOT: runRoot = '', TAR: tar = '' } = process.env
await using runtime = await Runtime.open({ root, runRoot, storageDriver: 'overlay' })
await runtime.images.import(tar, { ref: IMAGE })
console.log('ready')
for await (const line of createInterface(process.stdin)) console.log(JSON.stringify(await answer(line.split(' '))))

async function answer([what = '', ...words]: readonly string[]): Promise<unknown> {
  const count = Number(words[0])
  if (what === 'start') return await repeat(count, () => timeRun(runtime, {}, {}))
  if (what === 'pasta') return await repeat(count, () => timeRun(runtime, { network: 'pasta' }, {}))
  if (what === 'published') return await repeat(count, timePublished)
  const server = await runtime.run({
    image: IMAGE,
    network: 'pasta',
    command: words,
    volumes: LIBRARIES,
    ports: [5201],
    ready: { port: 5201 },
  })
  return server.ports[0]?.host
}

async function timePublished(): Promise<number> {
  const start = performance.now()
  const container = await runtime.run({ image: IMAGE, network: 'pasta', command: ANSWERS, ports: [80] })
  await untilAnswered(container.ports[0]?.host ?? 0)
  const time = performance.now() - start
  await container.remove({ force: true })
  return time
}
