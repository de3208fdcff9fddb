/** The dialogue with a CRIU that restores: it tells of each step, and waits for a word before it takes the next. */
import { close } from '../../sys/descriptors.js'
import type { CriuChannel } from './criu-channel.js'
import { requestTypes, type CriuOptions, type CriuResponse } from './criu-messages.js'

export interface RestoreStep {
  /** As CRIU calls it (https://criu.org/Action_scripts): `'setup-namespaces'`, `'post-restore'`, `'pre-resume'`. */
  readonly script: string
  /** Of the first process, in the pid namespace of CRIU. */
  readonly pid: number | undefined
  /** Of `'orphan-pts-master'`: the master of a new terminal, whose owner was outside. The receiver's to close. */
  readonly master?: number
}

/**
 * @param onStep is done before CRIU goes on; what it throws ends the dialogue, and CRIU stays where it is
 * @returns CRIU's last word; undefined when it ended without one
 */
export async function converse(
  channel: CriuChannel,
  opts: CriuOptions,
  onStep: (step: RestoreStep) => Promise<void>,
): Promise<CriuResponse | undefined> {
  channel.send('restore', { opts })
  for (;;) {
    const received = await channel.receive()
    if (received === undefined) return undefined
    const { answer, fd } = received
    if (answer.type !== requestTypes.notify) {
      if (fd !== undefined) close(fd)
      return answer
    }
    const { script = '', pid } = answer.notify ?? {}
    await onStep({ script, pid, ...(fd === undefined ? {} : { master: fd }) })
    channel.send('notify', { notifySuccess: true })
  }
}
