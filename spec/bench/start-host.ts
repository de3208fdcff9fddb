/**
 * A process that starts containers, by whichever user it is run: ROOT, RUN_ROOT and TAR say with what. A number on a line of its
 * input is how many it is to run; their milliseconds come back as a line of JSON.
 */
import { createInterface } from 'node:readline'
import { Runtime } from 'podling'
import { IMAGE, repeat, timeRun } from './podling.js'

const { ROOT: root = '', RUN_ROOT: runRoot = '', TAR: tar = '' } = process.env
await using runtime = await Runtime.open({ root, runRoot, storageDriver: 'overlay' })
await runtime.images.import(tar, { ref: IMAGE })
console.log('ready')
for await (const line of createInterface(process.stdin)) {
  console.log(JSON.stringify(await repeat(Number(line), () => timeRun(runtime, {}, {}))))
}
