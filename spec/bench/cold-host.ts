/** A process that runs one container and ends: ROOT and RUN_ROOT say with what. */
import { Runtime } from 'podling'
import { IMAGE, timeRun } from './podling.js'

const { ROOT: root = '', RUN_ROOT: runRoot = '' } = process.env
await using runtime = await Runtime.open({ root, runRoot, storageDriver: 'overlay' })
await timeRun(runtime, { image: IMAGE }, {})
