import { constants } from 'node:os'
import type { ExitRecord } from '../launch/protocol.js'
import type { Context } from './context.js'
import { destroy } from './delete.js'
import { make } from './make.js'
import { signalInit } from './process-of.js'
import type { ContainerRecord } from './record.js'
import { startMade } from './start.js'

/** `run ID`: create, start and, unless it is detached, wait and delete. @returns the program's exit status */
export async function run(context: Context, id: string): Promise<number> {
  const { store, line, log } = context
  const detaches = line.has('detach')
  const warn = (message: string): void => {
    log.warn(message)
  }
  // Before it runs: whoever sees it run may tell us what it is to hear.
  let stop = (): void => undefined
  const { helper } = await make(context, id, detaches, async (made) => {
    if (!detaches) stop = passSignals(made.record)
    made.helper.goOn(!detaches)
    await made.helper.started()
    try {
      await startMade(store, made.record)
    } catch (error) {
      await destroy(store, made.record, warn)
      throw error
    }
    return made
  }).catch((error: unknown) => {
    stop()
    throw error
  })
  if (detaches) {
    await helper.end()
    return 0
  }
  const ending: ExitRecord = await helper.exited()
  stop()
  await helper.end()
  if (!line.has('keep')) await store.change(id, (latest) => destroy(store, latest, warn))
  return ending.exitCode
}

/** What this process is told, its container is told. @returns what ends that */
export function passSignals(record: Pick<ContainerRecord, 'pid' | 'startTime'>): () => void {
  const passed = Object.entries(constants.signals).filter(
    ([name]) => !['SIGKILL', 'SIGSTOP', 'SIGCHLD', 'SIGCLD', 'SIGURG', 'SIGWINCH', 'SIGPROF', 'SIGPIPE'].includes(name),
  )
  const listeners = passed.flatMap(([name, number]) => {
    const listener = (): void => {
      signalInit(record as ContainerRecord, number)
    }
    try {
      process.on(name as NodeJS.Signals, listener)
      return [[name, listener] as const]
    } catch {
      return [] // Not one that a program may take.
    }
  })
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener)
  }
}
