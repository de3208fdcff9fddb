import { constants } from 'node:os'
import { signalNumber } from '../container/signals.js'
import { killAll, processesOf } from './cgroup-end.js'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'
import { isAlive, signalInit } from './process-of.js'
import type { ContainerRecord } from './record.js'
import type { Store } from './store.js'

const { SIGKILL } = constants.signals

/** `kill ID [SIGNAL]` */
export async function kill({ store, line }: Context, id: string, signal = 'SIGTERM'): Promise<number> {
  const record = store.read(id)
  const number = parseSignal(signal)
  if (line.has('all')) await signalAll(record, number)
  else {
    if (!signalInit(record, number)) throw new OciError('container not running')
    // Its processes are no family that ends with pid 1.
    if (number === SIGKILL && !hasOwnPids(store, id)) await killAll(record.cgroup)
  }
  return 0
}

export function hasOwnPids(store: Store, id: string): boolean {
  return (store.readSpec(id).linux?.namespaces ?? []).some(({ type, path }) => type === 'pid' && path === undefined)
}

function parseSignal(text: string): number {
  try {
    return text === '0' ? 0 : signalNumber(text)
  } catch {
    throw new OciError(`unknown signal ${JSON.stringify(text)}`)
  }
}

async function signalAll(record: ContainerRecord, signal: number): Promise<void> {
  if (signal === SIGKILL) {
    await killAll(record.cgroup)
    return
  }
  if (!isAlive(record) && (await processesOf(record.cgroup)).length === 0) return
  for (const pid of await processesOf(record.cgroup)) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
